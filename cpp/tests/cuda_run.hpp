// What the tests of the kernels for GPUs share: runs of them by the processor (launch.hpp), in both orders
// of threads and blocks.
//
// Built with sanitizers, this is where an access out of range would show: sizes straddle blocks and tiles.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "check.hpp"
#include "cvxbound_cuda.hpp"
#include "launch.hpp"

namespace {

using namespace cvxbound;

/// The constants of a device, made once.
inline const void* device_tables() {
  static const std::vector<char> tables = [] {
    std::vector<char> made(cuda::tables_size());
    cuda::make_tables(made.data());
    return made;
  }();
  return tables.data();
}

/// `terms` with a workspace of the size it asks for, of any batch: [items, horizons].
inline Result run(const Batch& batch, const Options& options) {
  const std::int64_t horizons = batch.horizons ? batch.horizon_count : batch.steps;
  const std::size_t size = static_cast<std::size_t>(batch.items * horizons);
  const std::unique_ptr<char[]> workspace(new char[cuda::workspace_size(batch, options)]);
  Result result = {Array(size), Array(size), Array(size)};
  Array omega(batch.gamma ? size : 0);
  cuda::terms(batch, options,
              {result.distance.data(), result.noise.data(), result.rho.data(),
               batch.gamma ? omega.data() : nullptr},
              {device_tables(), workspace.get(), nullptr});
  for (std::size_t i = 0; i < omega.size(); ++i) {
    const std::int64_t item = static_cast<std::int64_t>(i) / horizons;
    const double gamma = batch.gamma[batch.gamma_row ? batch.gamma_row[item] : item];
    CHECK(close(omega[i], result.distance[i] / gamma + gamma * result.noise[i], 1e-15),
          "omega " + std::to_string(i));
  }
  return result;
}

/// As `run` of test_core.cpp: one schedule, with all that a GPU would have.
inline Result run(const Array& eta, const Array& norm, const Options& options,
                  const std::vector<std::int64_t>& horizons = {}, double gamma = 0) {
  return run(One(eta, norm, gamma, horizons).batch(), options);
}

/// The tests, with threads and blocks first to last and last to first; what main returns.
inline int run_in_both_orders(std::initializer_list<void (*)()> tests) {
  for (const bool reversed : {false, true}) {
    cuda::reversed() = reversed;
    for (const auto test : tests) test();
  }
  std::printf("%d failed\n", failures);
  return failures > 0;
}

}  // namespace
