/* A run with a linear decay from C: its bound after some of its steps, and its best base learning rate. */
#include <cvxbound/cvxbound.h>
#include <stdio.h>

#define STEPS 1000

static int report(int status) {
  if (status != CVXBOUND_OK) fprintf(stderr, "cvxbound: %s\n", cvxbound_strerror(status));
  return status != CVXBOUND_OK;
}

int main(void) {
  double eta[STEPS];
  for (int i = 0; i < STEPS; ++i) eta[i] = 1 - i / (double)STEPS;
  const cvxbound_schedules run = {eta, 1, STEPS, NULL, 0, 0};

  const int64_t horizons[] = {10, 500, STEPS};
  double gamma = 0.05, curve[3];
  if (report(cvxbound_curve(&run, &gamma, horizons, 3, NULL, curve))) return 1;
  for (int i = 0; i < 3; ++i) printf("%.17g\n", curve[i]);

  cvxbound_options options;
  if (report(cvxbound_default_options(&options, sizeof options))) return 1;
  options.kind = CVXBOUND_TIGHT;
  double best_gamma, best_bound;
  if (report(cvxbound_tune(&run, &horizons[2], 1, &options, &best_gamma, &best_bound))) return 1;
  printf("%.17g\n%.17g\n", best_gamma, best_bound);
  return 0;
}
