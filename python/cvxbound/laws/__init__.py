"""Loss laws: fitted to training logs, they predict the loss of other schedules."""
