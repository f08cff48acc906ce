/* Sublayers of a Llama-shaped model on a few rows, one call a walk, for `sublayers.py`. Compiled
   after `elements.c` and `products.c`. */

enum { FEW = 4, PATIENCE = 1000 }; /* rows; turns of waiting */

typedef struct {
    int64_t hidden, heads, kv_heads, head_size, intermediate;
    float eps, scale, residual_multiplier;
} model_t;

typedef struct {
    const element *attention_norm, *qk_norm, *mlp_norm;
    linear_t qkv, output, gate_up, down;
    int64_t rotary;
} layer_t;

typedef struct {
    int64_t rows, threads;
    int64_t slot, columns, storage; /* of the cache: first row written, columns read, all columns */
    int64_t widest;                 /* the most inputs of a product */
    const element *cos, *sin;       /* [rows, head size]; the sign of a rotation is in sin */
    element *cache;                 /* [layers, 2 x kv heads, storage, head size] */
    char *scratch, *rounded; /* `rounded` has `rounded_bytes` for each thread */
    const uint8_t *const *allowed;  /* by kind of layer: columns that rows may read, [rows, columns] */
} frame_t;

ALWAYS void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Where threads wait for each other: how many have come, how often all have, how many sleep. */
typedef struct {
    int come, times, asleep;
} meeting_t;

/* One thread's place among those that really run: there may be fewer than were asked for. */
typedef struct {
    int own, all;
    meeting_t *meeting;
} team_t;

static team_t here(meeting_t *meeting) {
    return (team_t){omp_get_thread_num(), omp_get_num_threads(), meeting};
}

/* Sleep while all have met `times` times. */
static void sleep_until_met(meeting_t *at, int times) {
#ifdef __linux__
    __atomic_add_fetch(&at->asleep, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &at->times, FUTEX_WAIT_PRIVATE, times, NULL, NULL, 0);
    __atomic_sub_fetch(&at->asleep, 1, __ATOMIC_SEQ_CST);
#else
    sched_yield();
#endif
}

static void wake(meeting_t *at) {
#ifdef __linux__
    if (__atomic_load_n(&at->asleep, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &at->times, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
#endif
}

/* Wait until all threads of the team are here. A walk does so hundreds of times. OpenMP's barrier
   spins for a millisecond before it sleeps, so that a walk beside one of another process would take
   a hundred times as long; this one sleeps after some microseconds. */
static void meet(team_t team) {
    meeting_t *at = team.meeting;
    const int times = __atomic_load_n(&at->times, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&at->come, 1, __ATOMIC_ACQ_REL) == team.all) {
        __atomic_store_n(&at->come, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&at->times, times + 1, __ATOMIC_SEQ_CST);
        wake(at);
        return;
    }
    for (int turn = 0; __atomic_load_n(&at->times, __ATOMIC_SEQ_CST) == times; turn++) {
        if (turn < PATIENCE) relax();
        else sleep_until_met(at, times);
    }
}

/* Rows that each thread normalises for itself, and all that are normalised at once. */
static int64_t normalised_rows(int64_t rows, int64_t threads) {
    return rows <= FEW ? rows * threads : rows;
}

static int64_t normalised_bytes(const model_t *model, int64_t rows, int64_t threads) {
    return rounded_up(normalised_rows(rows, threads) * model->hidden * sizeof(element));
}

static int64_t inner_bytes(const model_t *model, int64_t rows) {
    int64_t wide = 2 * model->heads * model->head_size;
    int64_t inner = model->intermediate > wide ? model->intermediate : wide;
    return rounded_up(rows * inner * sizeof(element));
}

/* Normalised rows, what a sublayer computes between its products, and each thread's scores. */
int64_t scratch_bytes(const model_t *model, int64_t rows, int64_t columns, int64_t threads) {
    return normalised_bytes(model, rows, threads) + inner_bytes(model, rows) +
           threads * rounded_up(TILE * columns * sizeof(float));
}

static char *inner_place(const model_t *model, const frame_t *frame) {
    return frame->scratch + normalised_bytes(model, frame->rows, frame->threads);
}

static void normalise(const element *row, const element *gain, int count, float eps, element *to) {
    lanes squares = {0};
    IN_LANES(i, count, lanes x = LOAD(row + i); squares += x * x;)
    float factor = 1.0f / sqrtf(total(squares) / count + eps);
    IN_LANES(i, count, STORE(to + i, LOAD(row + i) * factor * LOAD(gain + i)))
}

/* Normalised rows in scratch, made by all threads together; of a FEW rows, each makes its own. */
static element *normalised(const model_t *model, const frame_t *frame, const element *gain,
                           const element *in, team_t team) {
    const int alone = frame->rows <= FEW, first = alone ? 0 : team.own, by = alone ? 1 : team.all;
    const int64_t size = model->hidden;
    element *to = (element *)frame->scratch + (alone ? team.own * frame->rows * size : 0);
    for (int r = first; r < frame->rows; r += by)
        normalise(in + r * size, gain, size, model->eps, to + r * size);
    if (!alone) meet(team);
    return to;
}

static input_t input_of(linear_t matrix, const element *rows, int inner, const frame_t *frame,
                        team_t team) {
    input_t found = {rows, {0}};
    char *place = frame->rounded + team.own * rounded_bytes(frame->rows, frame->widest);
    if (matrix.bits) found.rounded = round_rows(rows, frame->rows, inner, place);
    return found;
}

/* The outputs from..to that a thread computes, in whole blocks. */
static int64_t bound(int64_t outputs, int64_t thread, team_t team) {
    int64_t at = (outputs + LANES - 1) / LANES * thread / team.all * LANES;
    return at < outputs ? at : outputs;
}

/* out = in + multiplier * (input x matrix + bias); without `in`, the product alone. */
static void multiply_and_add(linear_t matrix, const element *from, int inner, int outputs,
                             float multiplier, const element *in, element *out,
                             const frame_t *frame, team_t team) {
    float result[MOST_ROWS * BLOCK];
    const input_t input = input_of(matrix, from, inner, frame, team);
    const int end = bound(outputs, team.own + 1, team);
    for (int o = bound(outputs, team.own, team); o < end; o += BLOCK) {
        const int count = end - o < BLOCK ? end - o : BLOCK;
        multiply(matrix, o, count, input, frame->rows, inner, result, BLOCK);
        for (int r = 0; r < frame->rows; r++) {
            const int64_t at = r * (int64_t)outputs + o;
            IN_LANES(i, count, {
                lanes sum = *(lanes *)(result + r * BLOCK + i) * multiplier;
                if (in) sum += LOAD(in + at + i);
                STORE(out + at + i, sum)
            })
        }
    }
}

/* ---- the MLP sublayer ---- */

static void gate(const model_t *model, const layer_t *layer, const frame_t *frame,
                 const element *from, element *to, team_t team) {
    float gates[MOST_ROWS * BLOCK], ups[MOST_ROWS * BLOCK];
    const int inner = model->hidden, width = model->intermediate, rows = frame->rows;
    const input_t input = input_of(layer->gate_up, from, inner, frame, team);
    const int end = bound(width, team.own + 1, team);
    for (int o = bound(width, team.own, team); o < end; o += BLOCK) {
        const int count = end - o < BLOCK ? end - o : BLOCK;
        multiply(layer->gate_up, o, count, input, rows, inner, gates, BLOCK);
        multiply(layer->gate_up, width + o, count, input, rows, inner, ups, BLOCK);
        for (int r = 0; r < rows; r++)
            IN_LANES(i, count, {
                lanes g = *(lanes *)(gates + r * BLOCK + i), u = *(lanes *)(ups + r * BLOCK + i);
                STORE(to + r * (int64_t)width + o + i, g / (1.0f + exponential(-g)) * u)
            })
    }
}

static void mlp(const model_t *model, const layer_t *layer, const frame_t *frame, const element *in,
                element *out, team_t team) {
    element *inner = (element *)inner_place(model, frame);
    const element *input = normalised(model, frame, layer->mlp_norm, in, team);
    gate(model, layer, frame, input, inner, team);
    meet(team);
    multiply_and_add(layer->down, inner, model->intermediate, model->hidden,
                     model->residual_multiplier, in, out, frame, team);
}

/* ---- the attention sublayer ---- */

static void rotate(float *head, const element *cos, const element *sin, int size) {
    float turned[WIDEST_HEAD];
    memcpy(turned, head + size / 2, size / 2 * sizeof(float));
    memcpy(turned + size / 2, head, size / 2 * sizeof(float));
    IN_LANES(i, size, {
        lanes own = *(lanes *)(head + i) * LOAD(cos + i);
        own += *(lanes *)(turned + i) * LOAD(sin + i);
        memcpy(head + i, &own, part * sizeof(float));
    })
}

static void normalise_head(float *head, const element *gain, int size, float eps) {
    lanes squares = {0};
    IN_LANES(i, size, {
        lanes x = {0};
        memcpy(&x, head + i, part * sizeof(float));
        squares += x * x;
    })
    float factor = 1.0f / sqrtf(total(squares) / size + eps);
    for (int i = 0; i < size; i++) head[i] *= factor * as_float(gain[i]);
}

/* One head of queries, keys or values for all rows; keys and values go into the cache. */
static void project(const model_t *model, const layer_t *layer, const frame_t *frame, int index,
                    input_t input, element *queries, int head) {
    float result[MOST_ROWS * WIDEST_HEAD + LANES];
    const int size = model->head_size, inner = model->hidden, rows = frame->rows;
    const int turned = model->heads + model->kv_heads; /* heads before those of values */
    const int first = head * size;
    multiply(layer->qkv, first, size, input, rows, inner, result, size);
    for (int r = 0; r < rows; r++) {
        float *row = result + r * size;
        if (head < turned && layer->qk_norm)
            normalise_head(row, layer->qk_norm + first, size, model->eps);
        if (head < turned && layer->rotary)
            rotate(row, frame->cos + r * size, frame->sin + r * size, size);
        element *to = queries + (r * model->heads + head) * size;
        if (head >= model->heads) {
            int64_t kept = index * 2 * model->kv_heads + head - model->heads;
            to = frame->cache + (kept * frame->storage + frame->slot + r) * size;
        }
        IN_LANES(i, size, STORE(to + i, *(lanes *)(row + i)))
    }
}

/* Scores to weights, in place; returns their sum. Hidden columns weigh exactly 0. */
static float weigh(float *scores, const uint8_t *allowed, int columns, float scale) {
    const lanes hidden = (lanes){0} - INFINITY;
    lanes most = hidden, sum = {0};
    for (int c = 0; c < columns; c += LANES) {
        integers seen = __builtin_convertvector(*(const bytes *)(allowed + c), integers) != 0;
        lanes scaled = choose(seen, *(lanes *)(scores + c) * scale, hidden);
        *(lanes *)(scores + c) = scaled;
        most = choose(scaled > most, scaled, most);
    }
    float highest = most[0];
    for (int i = 1; i < LANES; i++) highest = most[i] > highest ? most[i] : highest;
    for (int c = 0; c < columns; c += LANES) {
        lanes weights = exponential(*(lanes *)(scores + c) - highest);
        *(lanes *)(scores + c) = weights;
        sum += weights;
    }
    return total(sum);
}

/* Weighted sums of values for a few rows and 16 x parts elements of a head. */
ALWAYS void mix(const float *weights, const float *sums, const element *values, int columns, int size,
                int rows, int parts, int last, element *to, int64_t stride) {
    lanes mixed[TILE][TILE] = {0};
    for (int c = 0; c < columns; c++) {
        lanes value[TILE];
        EACH(k, parts) {
            const element *from = values + (int64_t)c * size + k * LANES;
            value[k] = last == LANES ? load(from) : load_part(from, last);
        }
        EACH(r, rows) EACH(k, parts) mixed[r][k] += weights[r * columns + c] * value[k];
    }
    EACH(r, rows) EACH(k, parts) {
        lanes found = mixed[r][k] / sums[r];
        element *at = to + r * stride + k * LANES;
        if (last == LANES) store(at, found);
        else store_part(at, found, last);
    }
}

ALWAYS void mix_head(const float *weights, const float *sums, const element *values, int columns,
                     int size, int rows, element *to, int64_t stride) {
    int at = 0;
    for (; at + TILE * LANES <= size; at += TILE * LANES)
        mix(weights, sums, values + at, columns, size, rows, TILE, LANES, to + at, stride);
    for (; at + LANES <= size; at += LANES)
        mix(weights, sums, values + at, columns, size, rows, 1, LANES, to + at, stride);
    if (at < size)
        mix(weights, sums, values + at, columns, size, rows, 1, size - at, to + at, stride);
}

/* One query head for all rows, over the columns of the cache. */
static void attend(const model_t *model, const frame_t *frame, int index, const uint8_t *allowed,
                   const element *queries, element *mixed, float *scores, int head) {
    const int size = model->head_size, columns = frame->columns;
    const int64_t stride = model->heads * size, at = (int64_t)head * size;
    const int64_t kept = index * 2 * model->kv_heads + head / (model->heads / model->kv_heads);
    const element *keys = frame->cache + kept * frame->storage * size;
    const element *values = keys + model->kv_heads * frame->storage * size;
    for (int r = 0; r < frame->rows; r += TILE) {
        const int rows = frame->rows - r < TILE ? frame->rows - r : TILE;
        float sums[TILE];
        multiply_elements(keys, columns, queries + r * stride + at, stride, rows, size, scores,
                          columns);
        for (int k = 0; k < rows; k++)
            sums[k] = weigh(scores + k * columns, allowed + (r + k) * (int64_t)columns, columns,
                            model->scale);
        element *to = mixed + r * stride + at;
        switch (rows) {
        case 1: mix_head(scores, sums, values, columns, size, 1, to, stride); break;
        case 2: mix_head(scores, sums, values, columns, size, 2, to, stride); break;
        case 3: mix_head(scores, sums, values, columns, size, TILE > 2 ? 3 : 2, to, stride); break;
        default: mix_head(scores, sums, values, columns, size, TILE, to, stride);
        }
    }
}

static void attention(const model_t *model, const layer_t *layer, const frame_t *frame, int index,
                      const uint8_t *allowed, const element *in, element *out, team_t team) {
    const int64_t heads = model->heads, wide = heads * model->head_size;
    char *scratch = inner_place(model, frame);
    element *queries = (element *)scratch, *mixed = queries + frame->rows * wide;
    scratch += inner_bytes(model, frame->rows);
    const int64_t own = team.own, all = team.all;
    const element *rows = normalised(model, frame, layer->attention_norm, in, team);
    const input_t input = input_of(layer->qkv, rows, model->hidden, frame, team);
    const int64_t projected = heads + 2 * model->kv_heads;
    for (int64_t h = projected * own / all; h < projected * (own + 1) / all; h++)
        project(model, layer, frame, index, input, queries, h);
    meet(team);
    float *scores = (float *)(scratch + own * rounded_up(TILE * frame->columns * sizeof(float)));
    for (int64_t h = heads * own / all; h < heads * (own + 1) / all; h++)
        attend(model, frame, index, allowed, queries, mixed, scores, h);
    meet(team);
    multiply_and_add(layer->output, mixed, wide, model->hidden, model->residual_multiplier, in, out,
                     frame, team);
}

/* ---- a walk, the head, and products alone ---- */

typedef struct {
    const layer_t *layer;
    int64_t depth; /* even: attention; odd: MLP */
    int64_t kind;  /* which of the frame's `allowed` an attention sublayer heeds */
} sublayer_t;

static void run_sublayer(const model_t *model, const frame_t *frame, sublayer_t at,
                         const element *in, element *out, team_t team) {
    if (at.depth % 2) mlp(model, at.layer, frame, in, out, team);
    else attention(model, at.layer, frame, at.depth / 2, frame->allowed[at.kind], in, out, team);
    meet(team);
}

static void read_out(const model_t *model, const frame_t *frame, const element *norm,
                     const linear_t *matrix, int64_t vocabulary, const element *in, element *out,
                     team_t team) {
    const element *input = normalised(model, frame, norm, in, team);
    multiply_and_add(*matrix, input, model->hidden, vocabulary, 1.0f, NULL, out, frame, team);
}

/* One sublayer after the other; the residual stream is read from `in` once, then kept in `out`.
   The stream before sublayer i is copied to `copies[i]`, where that is not NULL. */
void sublayers(const model_t *model, const frame_t *frame, const sublayer_t *list, int64_t count,
               element *const *copies, const element *in, element *out) {
    const size_t stream = frame->rows * model->hidden * sizeof(element);
    meeting_t meeting = {0};
#pragma omp parallel num_threads(frame->threads)
    {
        const team_t team = here(&meeting);
        for (int64_t i = 0; i < count; i++) {
            const element *from = i ? out : in;
            if (copies && copies[i] && team.own == 0) memcpy(copies[i], from, stream);
            run_sublayer(model, frame, list[i], from, out, team);
        }
    }
}

void head(const model_t *model, const frame_t *frame, const element *norm, const linear_t *matrix,
          int64_t vocabulary, const element *in, element *out) {
    meeting_t meeting = {0};
#pragma omp parallel num_threads(frame->threads)
    read_out(model, frame, norm, matrix, vocabulary, in, out, here(&meeting));
}

typedef struct {
    int64_t token; /* the first of the greatest logits */
    float probability;
    int32_t finite; /* whether all logits are */
} top_t;

static top_t top_of(const element *logits, int count, int probable) {
    float highest = -INFINITY;
    lanes most = (lanes){0} - INFINITY, sum = {0}, undefined = {0};
    IN_LANES(i, count, {
        lanes x = LOAD(logits + i);
        if (part == LANES) most = choose(x > most, x, most);
        for (int k = 0; part < LANES && k < part; k++) highest = x[k] > highest ? x[k] : highest;
        undefined += x * 0.0f;
    })
    for (int k = 0; k < LANES; k++) highest = most[k] > highest ? most[k] : highest;
    int64_t token = 0;
    while (token < count && as_float(logits[token]) != highest) token++;
    if (!probable) return (top_t){token, NAN, total(undefined) == 0.0f};
    IN_LANES(i, count, {
        lanes weights = exponential(LOAD(logits + i) - highest);
        for (int k = part; k < LANES; k++) weights[k] = 0.0f;
        sum += weights;
    })
    return (top_t){token, 1.0f / total(sum), total(undefined) == 0.0f};
}

/* A step of a greedy draft: a row through sublayers and head, and the token that is then chosen.
   The stream before sublayer i, or the head, is copied to `copies[i]`, where that is not NULL. */
void draft_step(const model_t *model, const frame_t *frame, const sublayer_t *list, int64_t count,
                element *const *copies, const element *norm, const linear_t *matrix,
                int64_t vocabulary, const element *in, element *out, element *logits, top_t *top) {
    meeting_t meeting = {0};
#pragma omp parallel num_threads(frame->threads)
    {
        const team_t team = here(&meeting);
        for (int64_t i = 0; i <= count; i++) {
            const element *from = i ? out : in;
            if (copies[i] && team.own == 0) memcpy(copies[i], from, model->hidden * sizeof(element));
            if (i < count) run_sublayer(model, frame, list[i], from, out, team);
            else read_out(model, frame, norm, matrix, vocabulary, from, logits, team);
        }
        meet(team);
        if (team.own == 0) *top = top_of(logits, vocabulary, 1);
    }
}

/* The head, and the top token of each row, without its probability. */
void decide(const model_t *model, const frame_t *frame, const element *norm, const linear_t *matrix,
            int64_t vocabulary, const element *in, element *logits, top_t *tops) {
    meeting_t meeting = {0};
#pragma omp parallel num_threads(frame->threads)
    {
        const team_t team = here(&meeting);
        read_out(model, frame, norm, matrix, vocabulary, in, logits, team);
        meet(team);
        for (int64_t r = team.own; r < frame->rows; r += team.all)
            tops[r] = top_of(logits + r * vocabulary, vocabulary, 0);
    }
}

typedef struct {
    linear_t matrix;
    int64_t inner, outputs;
} product_t;

/* Products of the same input, one after the other; each overwrites the result of the last. */
void products(const frame_t *frame, const product_t *list, int64_t count, const element *in,
              element *out) {
    meeting_t meeting = {0};
#pragma omp parallel num_threads(frame->threads)
    for (int64_t i = 0; i < count; i++) {
        const team_t team = here(&meeting);
        multiply_and_add(list[i].matrix, in, list[i].inner, list[i].outputs, 1.0f, NULL, out, frame,
                         team);
        meet(team);
    }
}
