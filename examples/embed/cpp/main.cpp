// Two schedules from C++, with the gradient norms of a run: their bounds, and what their steps are worth.
#include <cvxbound/bounds.hpp>
#include <iostream>

int main() {
  const int steps = 1000;
  cvxbound::Schedules schedules;
  schedules.rows = 2;
  for (int i = 0; i < steps; ++i) schedules.eta.push_back(1);
  for (int i = 0; i < steps; ++i) schedules.eta.push_back(1 - i / double(steps));
  for (int i = 0; i < steps; ++i) schedules.norm.push_back(1 + 9 / (1 + i / 100.0));

  cvxbound::Options options;
  options.D = 3;
  std::cout.precision(17);
  for (const double omega : cvxbound::bound(schedules, {0.01}, options)) std::cout << omega << "\n";
  const auto [gamma, best] = cvxbound::tune(schedules, options, {steps});
  std::cout << gamma[1] << "\n" << best[1] << "\n";
  const auto slopes = cvxbound::gradient(schedules, {0.01}, options, {steps});
  std::cout << slopes.by_eta[0] << "\n" << slopes.by_norm[steps - 1] << "\n";

  try {
    cvxbound::bound({{1, -1}}, {0.01});
  } catch (const cvxbound::Error& error) {
    std::cerr << error.what() << "\n";
    return error.status == CVXBOUND_BAD_ETA ? 0 : 1;
  }
  return 1;
}
