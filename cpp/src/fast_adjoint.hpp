// Derivatives at many horizons, in reverse through the block maps; the kernels are those of
// adjoint_kernels.hpp, and docs/gradients.md has the mathematics.
#pragma once

#include <functional>

#include "adjoint.hpp"
#include "kernels.hpp"

namespace cvxbound {

/// Whether block maps, squares and their inverses are ordinary numbers.
bool fast_adjoint_covers(const Ranges& ranges);

/// Adds the derivatives of the weighted bounds of `last` or `tight`. O(T log T) time for any number of
/// horizons; about 11 doubles a step of memory, 15 for `tight` with norms. Does not depend on the number of
/// threads.
void fast_adjoint(const Kernels& kernels, const Recursion& recursion, const Schedule& steps,
                  const Objective& objective, int threads, const std::function<void()>& interrupt);

}  // namespace cvxbound
