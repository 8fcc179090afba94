"""Clinical policies, one per file, which defines ``POLICY``. `adapters` loads trained models and foreign agents."""
