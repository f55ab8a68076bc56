"""Update rules of learners that hold a policy: pure functions, with their sources. Axes as in ``losses``."""

import torch
from torch import Tensor


def gumbel_softmax(logits: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
    """Relax a draw of an action: ``softmax((log pi + g) / temperature)`` with Gumbel noise ``g = -log(-log u)``.

    Logits do for ``log pi``: softmax does not see what they have in common.

    Sources: Jang, Gu & Poole, *Categorical Reparameterization with Gumbel-Softmax*, ICLR 2017; Maddison, Mnih & Teh,
    *The Concrete Distribution*, ICLR 2017. As the temperature falls to 0 it becomes the one-hot of a draw from pi.

    Args:
        logits: float32 ``[..., A]``.
        uniforms: float32 ``[..., A]`` in ``[0, 1)``.
        temperature: above 0.

    Returns:
        float32 ``[..., A]``, summing to 1.
    """
    assert logits.shape == uniforms.shape, (logits.shape, uniforms.shape)
    # Uniforms are multiples of 2**-24; both ends would be infinite.
    noise = -(-uniforms.clamp(2.0**-25, 1 - 2.0**-24).log()).log()
    return torch.softmax((logits + noise) / temperature, -1)


def inferred_policy_loss(logits: Tensor, reports: Tensor, noise: Tensor, entropy: float) -> Tensor:
    """Fit a policy to noisy reports of its actions by maximum likelihood.

    ``-sum_a w_a / |w| * log sum_b pi(b) W(a | b) - entropy * H(pi)`` for reports ``w`` through noise ``W``. Source:
    Lowe et al., *Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments*, NeurIPS 2017, equation 7
    (where actions are seen without noise). Reports that do not say who did what are those of the others' mean policy.

    Args:
        logits: float32 ``[..., A]``, of pi.
        reports: float32 ``[..., A]``: how often each action was reported; nothing at all counts nothing.
        noise: float32 ``[A, A]``: W, a row for each action taken.
        entropy: weight of the entropy of pi.

    Returns:
        float32 ``[...]``.
    """
    assert logits.shape == reports.shape, (logits.shape, reports.shape)
    log_pi = torch.log_softmax(logits, -1)
    said = (log_pi.exp() @ noise).log()
    share = reports / reports.sum(-1, keepdim=True).clamp(min=1.0)
    return -(share * said).sum(-1) + entropy * (log_pi.exp() * log_pi).sum(-1)
