"""The results file: a sentence for every key. Missing figures are null, never left out."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["RESULTS", "ROW", "SCHEMA_VERSION", "SUMMARY"]

SCHEMA_VERSION = 1

RESULTS: Mapping[str, str] = {
    "schema_version": "Version of this layout; raised when a key changes its meaning.",
    "run": "Name of the run's folder.",
    "created": "When the run was summed up, ISO 8601, UTC.",
    "config": "The resolved settings: model, prompts, strategies, domains, contexts, ...",
    "environment": "Processor, threads, device and versions of the packages.",
    "model": "Shape, dtype and executor of the model, and how its 4-bit weights are rounded.",
    "exactness": "What is guaranteed about equality with autoregressive decoding on this machine.",
    "calibration": "By strategy: seconds of its calibration, prompts it used, its folder.",
    "calibration_budget": "How calibrations shared their time, and the number of sets per search.",
    "prompts": "By benchmark prompt: name, domain, context, number of tokens and digest.",
    "vectors": "By benchmark prompt: domain, and where in hidden space (`pca`, `tsne`: x, y).",
    "rows": "One entry per answer; see ROW.",
    "failed": "On a cluster: answers that are missing because three workers died on each.",
    "summary": "One entry per strategy, domain (or `mean`), context, temperature; see SUMMARY.",
    "studies": "Results of studies run with it, by name.",
    "real_model": "Of `specframe bench` without options: the results of the headline strategies on "
    "smollm2, which was not trained to be skippable, in this same layout; null if it was not "
    "run.",
}

ROW: Mapping[str, str] = {
    "selector": "Name of the contender; `transformers...` rows are the generate of transformers.",
    "preset": "`best` or `faithful`; empty for transformers.",
    "prompt": "Name of the prompt.",
    "domain": "Its domain.",
    "context": "Requested length of the prompt; 0 leaves it as it is.",
    "prompt_tokens": "Tokens of the prompt.",
    "temperature": "0 is greedy.",
    "repeat": "Which repetition; also the seed of sampling.",
    "new_tokens": "Tokens of the answer.",
    "tokens": "The answer.",
    "first_tokens": "Tokens that arrived together with the first: more than 1 if transformers "
    "drafts. They do not count as decoded.",
    "prefill_seconds": "Wall clock until the first new token.",
    "decode_seconds": "Wall clock from then to the end; selection included.",
    "own_ar_prefill_seconds": "The same of autoregressive decoding, which answered this prompt "
    "again in turns with the strategy (before and after, where transformers drafts: the mean). "
    "Null for its own rows and for `transformers`, which answers directly after it.",
    "own_ar_decode_seconds": "The same of decode_seconds; speed-ups are relative to it.",
    "predicted_seconds": "decode_seconds by the cost model, for the rounds that took place; "
    "selection counts as measured.",
    "rounds": "Draft-verify rounds after the prompt's.",
    "drafted": "Drafted tokens (depth of the draft, for trees).",
    "accepted": "Drafted tokens that were accepted.",
    "selection_seconds": "Capture, pooling, lookup, planning and learning.",
    "draft_seconds": "Walks of the skipped model and choosing from it.",
    "verify_seconds": "The full model over all candidates, verdict and commit.",
    "other_seconds": "The rest of decode_seconds.",
    "skipped_attention": "Share of attention sublayers skipped, mean over drafting rounds.",
    "skipped_mlp": "Share of MLP sublayers skipped, mean over drafting rounds.",
    "low_bits": "Bits of the weights that most drafting rounds ran on; 0: full ones.",
    "low_bit_share": "Share of sublayers on low-bit weights, mean over drafting rounds.",
    "low_bit_bytes": "Memory of the low-bit copies that its drafts need.",
    "low_bit_seconds": "Seconds in which this answer made low-bit copies; this is done once and "
    "counts in no other seconds.",
    "drafting_share": "Share of rounds that drafted at all.",
    "tree_share": "Share of rounds whose draft was a tree.",
    "skips": "By sublayer: in how many drafting rounds it was skipped.",
    "low": "By sublayer: in how many drafting rounds it ran on low-bit weights.",
    "peak_bytes": "Highest resident memory of the process so far.",
    "worker": "The worker: processor, threads, device and gpu; its `id` differs between "
    "workers of a cluster.",
    "exact_match": "Whether a greedy answer equals the autoregressive one; null when sampled.",
    "parting": "Of a greedy answer that differs: the position of the first token that does, the "
    "difference of the target's logits between both tokens there, and whether it is a near-tie: no "
    "larger than rounding errors.",
}

SUMMARY: Mapping[str, str] = {
    "selector": "As in rows.",
    "preset": "As in rows.",
    "domain": "As in rows; `mean` is the mean of the domains, with equal weights.",
    "context": "As in rows.",
    "temperature": "As in rows.",
    "prompts": "Prompts behind the entry.",
    "speedup_vs_own_ar": "Decoded tokens per second over own autoregressive decoding, which runs "
    "in turns with the strategy: median over prompts of the median over repeats of the ratio.",
    "speedup_vs_own_ar_low": "Lower end of its 95 % bootstrap interval over prompts.",
    "speedup_vs_own_ar_high": "Upper end.",
    "speedup_vs_transformers": "The same over the generate of transformers with its faster cache.",
    "speedup_vs_transformers_low": "Lower end.",
    "speedup_vs_transformers_high": "Upper end.",
    "end_to_end_vs_own_ar": "Like speedup_vs_own_ar with the prompt's seconds counted.",
    "end_to_end_vs_own_ar_low": "Lower end.",
    "end_to_end_vs_own_ar_high": "Upper end.",
    "end_to_end_vs_transformers": "Like speedup_vs_transformers with the prompt's seconds counted.",
    "end_to_end_vs_transformers_low": "Lower end.",
    "end_to_end_vs_transformers_high": "Upper end.",
    "inconclusive": "Whether the interval contains 1 and is wider than 4 % either way, or a domain "
    "has fewer than two prompts.",
    "tokens_per_second": "Median decoded tokens per second; null if no answer has any, or if "
    "workers of a cluster differ, since their seconds are never pooled.",
    "first_token_seconds": "Median wall clock until the first new token; null if workers differ.",
    "exact_match": "Share of greedy answers equal to own autoregressive decoding.",
    "near_ties": "Share of greedy answers that differ from own autoregressive decoding, first at a "
    "near-tie of the target's logits; with exact_match it adds up to 1 unless something is wrong.",
    "acceptance": "Accepted over drafted tokens, pooled.",
    "mean_accepted": "Tokens per round, bonus included.",
    "mean_drafted": "Drafted tokens per round.",
    "drafting_rounds": "Share of rounds that drafted at all.",
    "tree_rounds": "Share of rounds whose draft was a tree.",
    "skipped_attention": "As in rows, mean.",
    "skipped_mlp": "As in rows, mean.",
    "low_bits": "As in rows: of most drafting prompts.",
    "low_bit_share": "As in rows, mean.",
    "low_bit_bytes": "As in rows, highest.",
    "peak_bytes": "Highest resident memory, as in rows.",
    "selection_share": "Share of decoding seconds, pooled.",
    "draft_share": "Share of decoding seconds, pooled.",
    "verify_share": "Share of decoding seconds, pooled.",
    "other_share": "Share of decoding seconds, pooled.",
    "prediction_error": "Median |predicted / measured - 1| of the speed-up over autoregressive "
    "decoding, predicted by the cost model for the rounds that took place, with selection as "
    "measured.",
}
