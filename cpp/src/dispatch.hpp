// The kernels of the instruction set in use.
#pragma once

#include "kernels.hpp"

namespace cvxbound {

/// Throws std::invalid_argument where CVXBOUND_FORCE_ISA names one that is not available.
const Kernels& active_kernels();

}  // namespace cvxbound
