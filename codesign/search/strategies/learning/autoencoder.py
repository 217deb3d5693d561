"""Variational auto-encoder of graphs: a latent space in which similar designs are near."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from codesign.search.pareto import Floats
from codesign.search.strategies.graphs import Graphs

LATENT, WIDTH, LAYERS = 16, 32, 5
"""Latent dimensions of a node, units of a layer, and layers of the encoder."""
EPOCHS, BATCH, LEARNING_RATE = 10, 64, 1e-3
DIVERGENCE = 5e-3
"""Weight of the divergence of the latent distributions from standard normal ones."""


class GraphAutoencoder:
    """Encoder of graph isomorphism layers, whose latent nodes give back labels and edges.

    A layer is a perceptron of a node's sum with its neighbours, before and behind. Of the latent
    vectors z of the nodes the decoder makes edges, sigmoid(z_i W z_j), and labels, softmax(V z); an
    absent node has a label of its own. The latent vector of a graph is the mean of its nodes'.
    ``inform`` adds a regression of values from it, two dense layers, to the loss. Sources: Yan et
    al., "Does Unsupervised Architecture Representation Learning Help Neural Architecture Search?"
    (arch2vec), NeurIPS 2020; Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019.

    >>> graphs = Graphs.chains(np.array([[2, 0], [1, 1]]), np.array([3, 2]))
    >>> coder = GraphAutoencoder(graphs.kinds, values=1, seed=0)
    >>> coder.train(graphs)
    >>> coder.latents(graphs).shape
    (2, 16)
    """

    def __init__(self, kinds: int, values: int, seed: int) -> None:
        """Make an untrained one for so many labels, and values to regress."""
        self._random = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._coder = _Coder(kinds, values)
        self._optimiser = torch.optim.Adam(self._coder.parameters(), lr=LEARNING_RATE)
        self._kinds = kinds

    def train(self, graphs: Graphs, values: Floats | None = None) -> None:
        """Learn to reconstruct graphs and, if given, their values, shape (n, values)."""
        labels, edges = self._tensors(graphs)
        wanted = None if values is None else torch.from_numpy(values).float()
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(labels), generator=self._random).split(BATCH):
                some = None if wanted is None else wanted[rows]
                loss = self._coder.loss(labels[rows], edges[rows], some, self._random)
                self._optimiser.zero_grad()
                loss.backward()
                self._optimiser.step()

    def latents(self, graphs: Graphs) -> Floats:
        """Return the latent vectors of graphs, shape (n, LATENT)."""
        with torch.no_grad():
            means, _ = self._coder.encode(*self._tensors(graphs))
        return np.asarray(means.mean(dim=1).double().numpy())

    def _tensors(self, graphs: Graphs) -> tuple[Tensor, Tensor]:
        """Return labels, absent nodes having the last one, and edges as 0 and 1."""
        labels = np.where(graphs.labels < 0, self._kinds, graphs.labels)
        return torch.from_numpy(labels), torch.from_numpy(graphs.edges.astype(np.float32))


class _Coder(nn.Module):
    def __init__(self, kinds: int, values: int) -> None:
        super().__init__()
        self._labels = nn.Embedding(kinds + 1, WIDTH)
        self._layers = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
            for _ in range(LAYERS)
        )
        self._mean, self._log_variance = nn.Linear(WIDTH, LATENT), nn.Linear(WIDTH, LATENT)
        self._edge, self._kind = nn.Linear(LATENT, LATENT), nn.Linear(LATENT, kinds + 1)
        self._values = nn.Sequential(nn.Linear(LATENT, WIDTH), nn.ReLU(), nn.Linear(WIDTH, values))

    def encode(self, labels: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and logarithms of variances of the nodes, each (n, nodes, LATENT)."""
        around = edges + edges.transpose(1, 2)
        nodes = self._labels(labels)
        for layer in self._layers:
            nodes = layer(nodes + around @ nodes)
        return self._mean(nodes), self._log_variance(nodes)

    def loss(
        self, labels: Tensor, edges: Tensor, values: Tensor | None, random: torch.Generator
    ) -> Tensor:
        """Return the mean loss of n graphs, with that of their values, (n, values), if given."""
        means, logs = self.encode(labels, edges)
        noise = torch.randn(means.shape, generator=random)
        latent = means + noise * (logs / 2).exp()
        between = self._edge(latent) @ latent.transpose(1, 2)
        of_edges = nn.functional.binary_cross_entropy_with_logits(between, edges)
        of_labels = nn.functional.cross_entropy(self._kind(latent).flatten(0, 1), labels.flatten())
        divergence = 0.5 * (means**2 + logs.exp() - logs - 1).mean()
        found: Tensor = of_edges + of_labels + DIVERGENCE * divergence
        if values is not None:
            found = found + nn.functional.mse_loss(self._values(latent.mean(dim=1)), values)
        return found
