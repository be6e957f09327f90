#include "dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

#include "cvxbound/cvxbound.hpp"

namespace cvxbound {

extern const Kernels kernels_baseline;
#if defined(CVXBOUND_X86_LEVELS)
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#endif

namespace {

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> found = {&kernels_baseline};
#if defined(CVXBOUND_X86_LEVELS)
  __builtin_cpu_init();
  const auto avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const auto avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx2) found.push_back(&kernels_avx2);
  if (avx2 && avx512) found.push_back(&kernels_avx512);
#endif
  return found;
}

const Kernels* choose() {
  const auto found = available_kernels();
  const char* forced = std::getenv("CVXBOUND_FORCE_ISA");
  if (!forced || !*forced) return found.back();
  std::string names;
  for (const Kernels* kernels : found) {
    if (std::string(forced) == kernels->name) return kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw std::invalid_argument("CVXBOUND_FORCE_ISA='" + std::string(forced) +
                              "' is not available here; expected one of: " + names);
}

}  // namespace

const Kernels& active_kernels() {
  static const Kernels* const kernels = choose();
  return *kernels;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Kernels* kernels : available_kernels()) names.emplace_back(kernels->name);
  return names;
}

std::string active_isa() { return active_kernels().name; }

}  // namespace cvxbound
