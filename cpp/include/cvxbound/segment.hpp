// What schedules of the usual families are made of. Plain data, for any compiler.
#pragma once

#include <cstdint>

namespace cvxbound {

/// The formula of a segment of a schedule, by x = (first + i) / span at its step i = 0, 1, ... and y = 1 -
/// x. All but the first, second and last are start f(x) + end (1 - f(x)).
enum class Form : std::int64_t {
  constant,        ///< start
  linear,          ///< start y + end x
  one_minus_sqrt,  ///< f = 1 - sqrt(x)
  cosine,          ///< f = (1 + cos(pi x)) / 2
  power,           ///< f = 1 - x^parameter
  exponential,     ///< f = (r^x - r) / (1 - r), r = parameter, not 1
  inverse_sqrt,    ///< start / sqrt(x)
};

/// Steps that follow one formula, with 0 <= x <= 1 but for `inverse_sqrt`; no number is negative.
struct Segment {
  std::int64_t steps = 0;
  Form form = Form::constant;
  double start = 1, end = 0;
  double first = 0, span = 1;
  double parameter = 1;
};

}  // namespace cvxbound
