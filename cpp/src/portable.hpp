// What lets one header serve g++ and nvcc.
#pragma once

/// CVX_PORTABLE marks a function that runs on processors and GPUs alike, CVX_DEVICE what only kernels for
/// GPUs call; without a CUDA compiler both are ordinary functions.
#if defined(__CUDACC__)
#define CVX_PORTABLE __host__ __device__
#define CVX_DEVICE __device__
/// A function that is not to be copied into each of its callers on a GPU; processors decide for themselves.
#define CVX_NOINLINE __noinline__
#else
#define CVX_PORTABLE
#define CVX_DEVICE
#define CVX_NOINLINE
#endif

/// Before a loop that a GPU is not to unroll, which would take more registers than there are.
#if defined(__CUDA_ARCH__)
#define CVX_ROLLED _Pragma("unroll 1")
#else
#define CVX_ROLLED
#endif
