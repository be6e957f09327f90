// cvxbound._cuda: the kernels for GPUs as Python sees them. Addresses of arrays in, one call, nothing out:
// the package owns all memory, and has checked it.
#include <pybind11/pybind11.h>

#include <cstdint>

#include "cvxbound_cuda.hpp"

namespace py = pybind11;

namespace {

using Address = std::uintptr_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

}  // namespace

PYBIND11_MODULE(_cuda, m, py::mod_gil_not_used()) {
  m.doc() = "The CUDA kernels of cvxbound. Private: call the functions of the package instead.";
}
