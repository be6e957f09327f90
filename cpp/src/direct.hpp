// Every horizon by its own walk: O(t) a horizon.
#pragma once

#include <functional>

#include "kernels.hpp"
#include "schedule.hpp"

namespace cvxbound {

/// `last` with a given last step; all horizons together share what can be shared, in O(T^2).
void direct_last(const Kernels& kernels, const Schedule& steps, LastStep last_step, const Targets& targets,
                 int threads, const std::function<void()>& interrupt);

/// Either recursion at the best last step.
void direct_free(const Kernels& kernels, const Recursion& recursion, const Schedule& steps,
                 const Targets& targets, int threads, const std::function<void()>& interrupt);

}  // namespace cvxbound
