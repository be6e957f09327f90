/* cvxbound from C, and from any language that calls C: the bounds of learning-rate schedules.
 *
 *     double eta[] = {1.0, 0.75, 0.5, 0.25}, gamma = 0.1, omega;
 *     cvxbound_schedules schedule = {eta, 1, 4, NULL, 0, 0};
 *     int status = cvxbound_bound(&schedule, &gamma, NULL, &omega);
 *     if (status) fprintf(stderr, "%s\n", cvxbound_strerror(status));
 *
 * Arrays are rows of doubles one after another, and belong to the caller. Every function returns a status,
 * CVXBOUND_OK or what is wrong, and writes its outputs only where all has gone well: they may be the memory
 * of inputs. A null output is not wanted; one at least must be. Functions may be called from several
 * threads. Results are those of the Python package, bit for bit; its documentation says what they mean.
 *
 * C99. What stands here stays: later versions add functions, options at the end of their struct, and
 * statuses. */
#ifndef CVXBOUND_H
#define CVXBOUND_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define CVXBOUND_API __attribute__((visibility("default")))
#else
#define CVXBOUND_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Schedules of equal length and the gradient norms of their runs. */
typedef struct cvxbound_schedules {
  const double* eta;  /* [rows, steps]: learning rates, in [0, 1e300] */
  int64_t rows;       /* at least 1 */
  int64_t steps;      /* at least 1; rows times steps at most 2^44 */
  const double* norm; /* [norm_rows, norm_steps]: norms, in [0, 1e100]; null: all are 1 */
  int64_t norm_rows;  /* 1, shared by all rows, or `rows`; not read without norms, as the next */
  int64_t norm_steps; /* 1, the same at all steps, or `steps` */
} cvxbound_schedules;

/* The bound: of the last iterate by Schaipp et al., of the last iterate by Zamani & Glineur, of the average
 * iterate. */
enum { CVXBOUND_LAST = 0, CVXBOUND_TIGHT = 1, CVXBOUND_AVERAGE = 2 };

/* What stands for the last step of a horizon: itself, the step before it, or the best positive number.
 * CVXBOUND_TIGHT always takes the best. */
enum { CVXBOUND_GIVEN = 0, CVXBOUND_REPEAT = 1, CVXBOUND_FREE = 2 };

/* Many horizons: the cheaper way, each by its own walk, or all of them together in linear time. */
enum { CVXBOUND_AUTO = 0, CVXBOUND_DIRECT = 1, CVXBOUND_FAST = 2 };

/* Filled in by cvxbound_default_options; a null pointer stands for the defaults. */
typedef struct cvxbound_options {
  size_t size;       /* of this struct in the program that calls */
  int32_t kind;      /* CVXBOUND_LAST */
  int32_t last_step; /* CVXBOUND_GIVEN */
  int32_t method;    /* CVXBOUND_AUTO */
  int32_t nthreads;  /* from 1 to 4096; 0: CVXBOUND_NUM_THREADS of the environment, or all processors */
  double rtol; /* 1e-12: relative error that CVXBOUND_FAST may make, at least that; not of gradients */
  double D;    /* 1: distance of the first iterate from a minimiser, positive */
} cvxbound_options;

enum {
  CVXBOUND_OK = 0,
  CVXBOUND_BAD_POINTER = 1,
  CVXBOUND_BAD_SIZE = 2,
  CVXBOUND_BAD_OPTIONS = 3,
  CVXBOUND_BAD_KIND = 4,
  CVXBOUND_BAD_LAST_STEP = 5,
  CVXBOUND_BAD_METHOD = 6,
  CVXBOUND_BAD_NTHREADS = 7,
  CVXBOUND_BAD_RTOL = 8,
  CVXBOUND_BAD_D = 9,
  CVXBOUND_BAD_ETA = 10,
  CVXBOUND_BAD_NORM = 11,
  CVXBOUND_BAD_GAMMA = 12,
  CVXBOUND_BAD_HORIZONS = 13,
  CVXBOUND_BAD_WEIGHTS = 14,
  CVXBOUND_BAD_ENVIRONMENT = 15,
  CVXBOUND_NO_DERIVATIVE = 16,
  CVXBOUND_TOO_LARGE = 17,
  CVXBOUND_NO_MEMORY = 18,
  CVXBOUND_INTERNAL = 19
};

/* What a status means: a sentence that is never freed. */
CVXBOUND_API const char* cvxbound_strerror(int status);

/* The version of the library, as "0.1.0". */
CVXBOUND_API const char* cvxbound_version(void);

/* The defaults; `size` is sizeof(cvxbound_options), by which later versions tell what a program knows. */
CVXBOUND_API int cvxbound_default_options(cvxbound_options* options, size_t size);

/* The bound after the last step of each row, [rows]. `gamma`, [rows], are base learning rates, positive;
 * O(steps) time a row. */
CVXBOUND_API int cvxbound_bound(const cvxbound_schedules* schedules, const double* gamma,
                                const cvxbound_options* options, double* omega);

/* The bound at `count` horizons, from 1 to `steps` each, or after every step where these are null and
 * `count` is 0; [rows, horizons]. */
CVXBOUND_API int cvxbound_curve(const cvxbound_schedules* schedules, const double* gamma,
                                const int64_t* horizons, int64_t count, const cvxbound_options* options,
                                double* omega);

/* The two terms of the bound, distance / gamma + gamma noise; [rows, horizons] each. Where the last step is
 * free they are those at `gamma`, [rows], or at the best one where it is null. */
CVXBOUND_API int cvxbound_terms(const cvxbound_schedules* schedules, const double* gamma,
                                const int64_t* horizons, int64_t count, const cvxbound_options* options,
                                double* distance, double* noise);

/* The best base learning rate of each horizon, and the bound there; [rows, horizons] each. */
CVXBOUND_API int cvxbound_tune(const cvxbound_schedules* schedules, const int64_t* horizons, int64_t count,
                               const cvxbound_options* options, double* gamma, double* omega);

/* Derivatives of the sum over horizons of weight times bound by every step and every norm, [rows, steps]
 * each. `weights` are [rows, horizons], of any sign; null: 1. `gamma` is [rows]; null: the best one of each
 * horizon. */
CVXBOUND_API int cvxbound_gradient(const cvxbound_schedules* schedules, const double* gamma,
                                   const int64_t* horizons, int64_t count, const double* weights,
                                   const cvxbound_options* options, double* by_eta, double* by_norm);

#ifdef __cplusplus
}
#endif

#endif
