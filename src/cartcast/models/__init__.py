"""Models: classifiers, regressors and segments, each a declaration that makes an estimator."""
