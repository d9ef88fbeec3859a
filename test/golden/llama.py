"""Tiny Llama models through transformers -> tiny-llama*/, llama-*.json, llama-*-grads.safetensors

Two seeded models, float32, eager attention:
  tiny-llama       plain rope (theta 10000), grouped-query attention, own lm_head;
  tiny-llama-tied  theta 500000 with llama3 rope scaling whose three bands are all
                   hit (kept, smoothed, divided), explicit head_dim, tied lm_head.
For each: logits and loss (transformers' shifted mean cross-entropy) of a batch
with some labels masked, the gradient of the loss with respect to every weight
(a tied weight appears once, under model.embed_tokens.weight), and a greedy
continuation. The JSON also holds the inverse frequencies of the rope.

Run: python llama.py
"""

import json

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from common import HERE, array, scalar, versions, write

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

COMMON = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=48,
    vocab_size=61,
    rms_norm_eps=1e-5,
    max_position_embeddings=512,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=None,
    attn_implementation="eager",
)
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
VARIANTS = {
    "tiny-llama": dict(rope_theta=10000.0, tie_word_embeddings=False),
    "tiny-llama-tied": dict(rope_theta=500000.0, tie_word_embeddings=True, head_dim=16, rope_scaling=LLAMA3),
}


def make(name, seed, **changes):
    """The model, with weights from numpy's PCG64 (not torch's generator)."""
    config = LlamaConfig(**{**COMMON, **VARIANTS[name], **changes})
    model = LlamaForCausalLM(config).float().eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for key, weight in sorted(model.named_parameters()):
            draw = rng.standard_normal(tuple(weight.shape))
            scaled = 1 + 0.25 * draw if "norm" in key else draw * (0.5 if "embed" in key else 0.25)
            weight.copy_(torch.from_numpy(scaled.astype(np.float32)))
    return model


def batch():
    """Tokens [2, 12] and labels with holes: a masked prompt, a masked tail, one in the middle."""
    rng = np.random.default_rng(11)
    tokens = rng.integers(3, 61, (2, 12))
    tokens[:, 0] = 1
    labels = tokens.copy()
    labels[0, :4] = -100
    labels[1, 7] = -100
    labels[1, 10:] = -100
    return torch.from_numpy(tokens), torch.from_numpy(labels)


def load_tiny():
    """tiny-llama from its folder, frozen; what the adapter scripts build on."""
    model = LlamaForCausalLM.from_pretrained(HERE / "tiny-llama", attn_implementation="eager").float().eval()
    for weight in model.parameters():
        weight.requires_grad_(False)
    return model


def ints(tensor):
    return array(tensor.numpy().astype(np.int32))


def floats(tensor):
    return array(tensor.detach().numpy())


def write_tensors(path, tensors):
    """A safetensors file beside the scripts; save_file alone makes it private to its owner."""
    path = HERE / path
    save_file({key: t.detach().contiguous() for key, t in tensors.items()}, path, metadata={"format": "pt"})
    path.chmod(0o644)
    print(f"{path.relative_to(HERE)}: {path.stat().st_size} bytes")


def save_model(model, name):
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    assert not any(str(value).startswith("/") for value in config.values())
    weights = folder / "model.safetensors"
    weights.chmod(0o644)
    print(f"{name}/model.safetensors: {weights.stat().st_size} bytes")


def check_cross_entropy(logits, labels, loss):
    """The loss from its definition, in float64."""
    logp = torch.log_softmax(logits.double()[:, :-1], -1)
    target = labels[:, 1:]
    kept = target != -100
    picked = logp.gather(-1, target.clamp(min=0)[..., None])[..., 0]
    assert abs(float(-(picked * kept).sum() / kept.sum()) - loss) < 1e-5
    return int(kept.sum())


def run(name, seed):
    model = make(name, seed)
    save_model(model, name)
    again = LlamaForCausalLM.from_pretrained(HERE / name, attn_implementation="eager")
    tokens, labels = batch()
    with torch.no_grad():
        assert torch.equal(again(tokens).logits, model(tokens).logits)
    out = model(input_ids=tokens, labels=labels)
    out.loss.backward()
    counted = check_cross_entropy(out.logits.detach(), labels, out.loss.item())
    grads = {key: weight.grad for key, weight in model.named_parameters()}
    write_tensors(f"llama-{name}-grads.safetensors", grads)

    prompt = tokens[:1, :5]
    sequence, margin = prompt, []
    with torch.no_grad():
        for _ in range(8):
            last = model(sequence).logits[0, -1]
            top = last.topk(2).values
            margin.append(float(top[0] - top[1]))
            sequence = torch.cat([sequence, last.argmax().view(1, 1)], 1)
    assert min(margin) > 1e-2, margin

    extra = {}
    if "rope_scaling" in VARIANTS[name]:
        with torch.no_grad():
            plain = make(name, seed, rope_scaling=None)(tokens).logits
        moved = (plain - out.logits.detach()).abs().max().item()
        assert moved > 0.05, moved
        extra["max_difference_without_rope_scaling"] = round(moved, 4)

    write(
        f"llama-{name}.json",
        {
            "about": f"transformers LlamaForCausalLM on {name}, float32, eager attention, CPU",
            "versions": versions("transformers", "torch", "numpy", "safetensors"),
            "tokens": ints(tokens),
            "labels": ints(labels),
            "loss": scalar(np.float32(out.loss.item())),
            "counted_labels": counted,
            "logits": floats(out.logits),
            "inv_freq": floats(model.model.rotary_emb.inv_freq),
            "greedy": {
                "prompt": ints(prompt),
                "sequence": ints(sequence),
                "least_margin": round(min(margin), 4),
            },
            "grad_norm": float(torch.sqrt(sum(g.double().square().sum() for g in grads.values()))),
            "grads": {
                k: {
                    "shape": list(g.shape),
                    "sum": float(g.double().sum()),
                    "sum_of_squares": float(g.double().square().sum()),
                }
                for k, g in sorted(grads.items())
            },
            **extra,
        },
    )


def main():
    for seed, name in enumerate(VARIANTS, start=1):
        run(name, seed)


if __name__ == "__main__":
    main()
