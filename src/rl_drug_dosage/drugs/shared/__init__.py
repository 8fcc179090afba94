"""What several drug models share: body size, warfarin genotypes, constants of anaesthesia."""
