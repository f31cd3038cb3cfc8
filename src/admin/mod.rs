//! The management API and the metrics.
