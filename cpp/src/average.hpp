// The textbook bound of the averaged iterate.
#pragma once

#include "adjoint.hpp"
#include "kernels.hpp"
#include "schedule.hpp"

namespace cvxbound {

/// Textbook bound of the weighted average. Its last weight is as free as the last step of the other
/// kinds; the best one has a closed form.
///
/// O(T) for any number of horizons.
void average(const Kernels& kernels, const Schedule& steps, LastStep last_step, const Targets& targets);

/// Adds the derivatives of the weighted bounds of an objective (adjoint.hpp). O(T).
void average_adjoint(const Schedule& steps, const Objective& objective);

}  // namespace cvxbound
