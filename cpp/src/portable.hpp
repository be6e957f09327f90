// What lets one header serve g++ and nvcc.
#pragma once

/// Marks a function that runs on processors and GPUs alike.
#if defined(__CUDACC__)
#define CVX_PORTABLE __host__ __device__
#else
#define CVX_PORTABLE
#endif
