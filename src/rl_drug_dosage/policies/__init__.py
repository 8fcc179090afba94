"""Clinical policies: one a file, which defines ``POLICY``. `adapters` reads models and agents from elsewhere."""
