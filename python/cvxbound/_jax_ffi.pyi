"""Functions that XLA calls, as capsules for jax.ffi.register_ffi_target."""

curve: object
terms: object
slope: object
