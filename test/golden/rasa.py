"""RaSA on tiny-llama, written out in torch -> rasa/

RaSA is not in pip peft. With p = r - k private ranks and s = L k pooled ranks,
    dW_i = [B_i  B_S] diag(d_i) [A_i ; A_S]
where A_S and B_S belong to all layers of one module type. It is added here by a
forward hook on each projection: y + ((x [A_i;A_S]^T) * d_i) [B_i B_S]^T.

r=4, k=1, L=2, so p=3 and s=2; A, B and d random and non-zero. The folder holds
the adapter in the key layout of the authors' code and expected.json: logits,
loss, the gradient of every leaf (one per pool matrix, summed over the layers),
and logits of the exact LoRA form of rank p + s (A = [A_i;A_S],
B = [B_i B_S] diag(d_i), scaling 1) run through pip peft, whose adapter is in
rasa/lora-export/.

Run: python rasa.py
"""

import json

import numpy as np
import torch
from peft import LoraConfig, get_peft_model

from common import HERE, versions, write
from llama import floats, load_tiny, write_tensors
from peft_lora import TARGETS, adapter_leaves, fill, logits_of, measure, save_adapter

R, K, L = 4, 1, 2
P, S = R - K, L * K
PREFIX = "base_model.model."


def projections(model):
    """(module path, type, layer, module) of every adapted projection."""
    for path, module in model.named_modules():
        if path.split(".")[-1] in TARGETS:
            layer, rest = path.removeprefix("model.layers.").split(".", 1)
            yield path, rest.replace(".", "__"), int(layer), module


def make_leaves(model):
    """Every trainable tensor under its key in the adapter file."""
    leaves = {}
    for path, kind, _, module in projections(model):
        out, into = module.weight.shape
        leaves[f"base_model.rasa_shared_A.{kind}.weight"] = torch.zeros(S, into)
        leaves[f"base_model.rasa_shared_B.{kind}.weight"] = torch.zeros(out, S)
        leaves[f"{PREFIX}{path}.rasa_A.weight"] = torch.zeros(P, into)
        leaves[f"{PREFIX}{path}.rasa_B.weight"] = torch.zeros(out, P)
        leaves[f"{PREFIX}{path}.rasa_mixing.weight"] = torch.zeros(P + S)
    fill({key: leaf for key, leaf in leaves.items() if "mixing" not in key}, 31, 0.25)
    fill({key: leaf for key, leaf in leaves.items() if "mixing" in key}, 32, 2.0)
    return {key: leaf.requires_grad_() for key, leaf in sorted(leaves.items())}


def parts(leaves, path, kind):
    """[A_i;A_S], [B_i B_S] and d_i of one projection."""
    down = torch.cat(
        [leaves[f"{PREFIX}{path}.rasa_A.weight"], leaves[f"base_model.rasa_shared_A.{kind}.weight"]], 0
    )
    up = torch.cat(
        [leaves[f"{PREFIX}{path}.rasa_B.weight"], leaves[f"base_model.rasa_shared_B.{kind}.weight"]], 1
    )
    return down, up, leaves[f"{PREFIX}{path}.rasa_mixing.weight"]


def attach(model, leaves):
    def hook(path, kind):
        def add(_module, inputs, output):
            down, up, mixing = parts(leaves, path, kind)
            return output + ((inputs[0] @ down.T) * mixing) @ up.T

        return add

    for path, kind, _, module in list(projections(model)):
        module.register_forward_hook(hook(path, kind))
    return model


def merged(model, leaves):
    """W + [B_i B_S] diag(d_i) [A_i;A_S] in place."""
    with torch.no_grad():
        for path, kind, _, module in projections(model):
            down, up, mixing = parts(leaves, path, kind)
            module.weight += (up * mixing) @ down
    return model


def lora_export(leaves):
    """The same update as plain LoRA through pip peft: rank p + s, alpha = rank."""
    rank = P + S
    config = LoraConfig(
        r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM"
    )
    model = get_peft_model(load_tiny(), config).eval()
    lora = adapter_leaves(model)
    with torch.no_grad():
        for path, kind, _, _module in projections(load_tiny()):
            down, up, mixing = parts(leaves, path, kind)
            lora[f"{PREFIX}{path}.lora_A.weight"].copy_(down)
            lora[f"{PREFIX}{path}.lora_B.weight"].copy_(up * mixing)
    return model


def adapter_config():
    """The fields that the authors' code writes."""
    return {
        "auto_mapping": None,
        "base_model_name_or_path": "tiny-llama",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "layers_pattern": None,
        "layers_to_transform": None,
        "modules_to_save": None,
        "peft_type": "RASA",
        "r": R,
        "rasa_alpha": 8,
        "rasa_dropout": 0.0,
        "rasa_k": K,
        "revision": None,
        "target_modules": sorted(TARGETS),
        "task_type": "CAUSAL_LM",
    }


def pool_gradients_are_sums(leaves, grads):
    """Give each layer its own copy of the pool: the copies' gradients add up to the pool's."""
    tokens_model = load_tiny()
    copies = {}

    def split(path, kind, layer):
        def add(_module, inputs, output):
            own = dict(leaves)
            for side in "AB":
                key = f"base_model.rasa_shared_{side}.{kind}.weight"
                own[key] = copies.setdefault((key, layer), leaves[key].detach().clone().requires_grad_())
            down, up, mixing = parts(own, path, kind)
            return output + ((inputs[0] @ down.T) * mixing) @ up.T

        return add

    for path, kind, layer, module in list(projections(tokens_model)):
        module.register_forward_hook(split(path, kind, layer))
    logits_of(tokens_model)  # fills the copies
    result = measure(tokens_model, copies)["grads"]
    for key in leaves:
        if "shared" in key:
            total = sum(np.array(result[(key, layer)]["data"]) for layer in range(L))
            assert np.abs(total - np.array(grads[key]["data"])).max() < 1e-5, key


def main():
    folder = HERE / "rasa"
    folder.mkdir(exist_ok=True)
    base = load_tiny()
    leaves = make_leaves(base)
    assert len(leaves) == 2 * len(TARGETS) + 3 * L * len(TARGETS)
    write_tensors("rasa/adapter_model.safetensors", leaves)
    (folder / "adapter_config.json").write_text(json.dumps(adapter_config(), indent=2, sort_keys=True))

    plain = logits_of(base)
    model = attach(load_tiny(), leaves)
    result = measure(model, leaves)
    logits = logits_of(model)
    pool_gradients_are_sums(leaves, result["grads"])

    export = lora_export(leaves)
    save_adapter(export, folder / "lora-export", "tiny-llama")
    exported, whole = logits_of(export), logits_of(merged(load_tiny(), leaves))
    gaps = {
        "lora_export": float((exported - logits).abs().max()),
        "merged": float((whole - logits).abs().max()),
    }
    moved = float((logits - plain).abs().max())
    assert moved > 0.1 and max(gaps.values()) < 3e-5, (moved, gaps)
    write(
        "rasa/expected.json",
        {
            "about": "RaSA r=4 k=1 on tiny-llama (L=2, 3 private and 2 pooled ranks), float32",
            "versions": versions("peft", "transformers", "torch", "numpy"),
            "r": R,
            "k": K,
            "layers": L,
            "trainable": sum(v.numel() for v in leaves.values()),
            "max_difference_from_base": round(moved, 4),
            "max_differences": gaps,
            **result,
            "merged_logits": floats(whole),
            "lora_export_logits": floats(exported),
        },
    )


if __name__ == "__main__":
    main()
