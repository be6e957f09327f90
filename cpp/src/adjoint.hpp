// Derivatives of a weighted sum of bounds of one schedule.
#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "schedule.hpp"

namespace cvxbound {

/// A horizon that counts.
struct Weighted {
  std::int64_t step;
  std::int64_t index;  ///< among the horizons asked for
  double weight;
  double rho;
};

/// J = sum of weight * bound over some horizons of one item, and where its derivatives are added.
struct Objective {
  std::vector<Weighted> horizons;  ///< rising steps
  double gamma;                    ///< in units of D / G; 0: the best one
  LastStep last_step;              ///< whose derivative that of rho is, unless rho was given
  bool rho_given;
  bool is_free;  ///< rho is the best one, to the accuracy of the search
  Gradients out;

  /// Checks a bound and writes it; adds the derivative of a rho that is a step of the schedule.
  void finish(const Weighted& horizon, double omega, double rho_bar) const {
    if (!std::isfinite(omega) || !std::isfinite(rho_bar)) {
      throw std::invalid_argument("the bound after step " + std::to_string(horizon.step) +
                                  " has no derivative: it is infinite, or its best gamma is");
    }
    if (out.omega) out.omega[horizon.index] = omega;
    if (out.rho) out.rho[horizon.index] = rho_bar;
    if (rho_given || is_free) return;
    const bool before = last_step == LastStep::repeat && horizon.step > 1;
    out.eta[horizon.step - (before ? 2 : 1)] += rho_bar;
  }
};

}  // namespace cvxbound
