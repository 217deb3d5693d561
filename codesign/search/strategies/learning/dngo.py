"""Regression by a network whose last layer is Bayesian (DNGO)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from codesign.search.pareto import Floats

HIDDEN, EPOCHS, LEARNING_RATE = 50, 200, 0.01
PRECISIONS = np.geomspace(1e-2, 1e2, 9)
"""Precisions of the last layer's weights to choose from."""
NOISES = np.geomspace(1e-4, 1.0, 9)
"""Variances of the noise to choose from, in variances of the values."""


class BayesianLastLayer:
    """Deep network for global optimisation: linear regression on what a trained network computes.

    A network of three hidden layers is trained to the values; then its last layer gives way to a
    Bayesian linear regression on the last hidden layer, whose deviations cost one small inversion.
    Precision and noise are those of largest marginal likelihood. Source: Snoek et al., "Scalable
    Bayesian Optimization Using Deep Neural Networks", ICML 2015.

    >>> inputs = np.linspace(-1, 1, 20)[:, None]
    >>> model = BayesianLastLayer(seed=0)
    >>> model.weigh(inputs, inputs[:, 0] ** 2)
    >>> model.fit(inputs, inputs[:, 0] ** 2)
    >>> mean, deviation = model.predict(np.array([[0.5]]))
    >>> bool(0.1 < mean[0] < 0.4)
    True
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def weigh(self, encoded: Floats, values: Floats) -> None:
        """Train the network on inputs of shape (n, d), and choose precision and noise."""
        self._centre, self._scale = encoded.mean(axis=0), encoded.std(axis=0) + 1e-9
        wanted = (values - values.mean()) / (values.std() + 1e-12)
        inputs, targets = self._inputs(encoded), torch.from_numpy(wanted).float()[:, None]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            layers: list[nn.Module] = []
            for width in (inputs.shape[1], HIDDEN, HIDDEN):
                layers += [nn.Linear(width, HIDDEN), nn.Tanh()]
            self._basis, output = nn.Sequential(*layers), nn.Linear(HIDDEN, 1)
        parameters = [*self._basis.parameters(), *output.parameters()]
        optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE)
        for _ in range(EPOCHS):
            loss = nn.functional.mse_loss(output(self._basis(inputs)), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        self._choose(self._features(encoded), wanted)

    def fit(self, encoded: Floats, values: Floats) -> None:
        """Fit the last layer to values of shape (n,)."""
        self._mean, self._spread = values.mean(), values.std() + 1e-12
        features = self._features(encoded)
        inner = self._precision * np.eye(features.shape[1]) + features.T @ features / self._noise
        self._covariance = np.linalg.inv(inner)
        wanted = (values - self._mean) / self._spread
        self._weights = self._covariance @ features.T @ wanted / self._noise

    def predict(self, encoded: Floats) -> tuple[Floats, Floats]:
        """Return means and standard deviations, each (m,), at inputs of shape (m, d)."""
        features = self._features(encoded)
        variance = ((features @ self._covariance) * features).sum(axis=1)
        deviation = self._spread * np.sqrt(np.maximum(variance, 1e-12))
        return self._mean + self._spread * (features @ self._weights), deviation

    def _choose(self, features: Floats, wanted: Floats) -> None:
        """Choose precision and noise by the evidence of the values, from one decomposition."""
        left, singular, _ = np.linalg.svd(features, full_matrices=False)
        inside = left.T @ wanted
        outside = max(float(wanted @ wanted - inside @ inside), 0.0)
        rest = len(wanted) - len(singular)
        best = -np.inf
        for precision in PRECISIONS:
            for noise in NOISES:
                spread = singular**2 / precision + noise
                evidence = -(inside**2 / spread).sum() - np.log(spread).sum()
                evidence -= outside / noise + rest * np.log(noise)
                if evidence > best:
                    best, self._precision, self._noise = evidence, float(precision), float(noise)

    def _features(self, encoded: Floats) -> Floats:
        """Return the last hidden layer with a 1 for the bias, shape (n, HIDDEN + 1)."""
        with torch.no_grad():
            hidden = self._basis(self._inputs(encoded)).double().numpy()
        return np.column_stack([hidden, np.ones(len(hidden))])

    def _inputs(self, encoded: Floats) -> torch.Tensor:
        return torch.from_numpy((encoded - self._centre) / self._scale).float()
