// Derivatives in reverse of each horizon's own walk.
#pragma once

#include <functional>

#include "adjoint.hpp"

namespace cvxbound {

/// Adds the derivatives of the weighted bounds of `last` or `tight`. O(t) time a horizon, O(T) memory.
void direct_adjoint(const Recursion& recursion, const Schedule& steps, const Objective& objective,
                    const std::function<void()>& interrupt);

}  // namespace cvxbound
