// Constants that kernels read from the memory of the device.
#pragma once

#include "basis.hpp"
#include "panels.hpp"

namespace cvxbound {
namespace cuda {

struct Tables {
  Basis basis;  ///< of the highest order
  WindowBasis window;
  PanelRules panels;
};

/// Coefficients of a block map.
constexpr int kOrder = kOrders[kOrderCount - 1];

}  // namespace cuda
}  // namespace cvxbound
