/* Sublayers of a Llama-shaped model on a few rows, one call a walk, for `sublayers.py`.

   Every sum is added up in one order, whatever the number of rows and of threads. A row computed
   alone therefore equals the same row in a block, bit for bit. Sums are float32; elements are
   bfloat16 with -DBFLOAT16, else float32. Matrices are row-major, [outputs, inputs]; drafts may
   run on matrices of 4 or 8 bits a weight, whose inputs are rounded to 8 bits. */

#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif
#if defined(BFLOAT16) && defined(__AVX512BF16__)
#define PAIRS /* the processor adds up products of bfloat16 pairs */
#endif

#define ALWAYS static inline __attribute__((always_inline))
#define EACH(i, count) _Pragma("GCC unroll 8") for (int i = 0; i < (count); i++)

enum { LANES = 16, MOST_ROWS = 32, BLOCK = 64, WIDEST_HEAD = 256, GROUP = 64 };
#ifdef __AVX512F__
/* Sums that are kept in registers: of TILE rows x TILE outputs, or of STRIP rows and one output. */
enum { TILE = 4, STRIP = 8 };
#else
enum { TILE = 2, STRIP = 4 };
#endif
enum { AHEAD = 8192 }; /* bytes: how far ahead of a product its weights are fetched */
enum { NEAR = 16384, DEPTH = 1024 }; /* bytes of inputs, and inputs, that the first cache keeps */

typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t integers __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint8_t bytes __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t words __attribute__((vector_size(32), aligned(2), may_alias));

/* Sums of the loops that take most of the time. Without registers of 64 bytes, a compiler would keep
   `lanes` in memory there. */
#if defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
#define HALVES
typedef struct {
    __m256 low, high;
} sum_t;
typedef struct {
    __m256i low, high;
} count_t;

ALWAYS sum_t no_sum(void) { return (sum_t){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
ALWAYS count_t counts_from(int32_t start) {
    return (count_t){_mm256_set1_epi32(start), _mm256_set1_epi32(start)};
}
#else
typedef lanes sum_t;
typedef integers count_t;

ALWAYS sum_t no_sum(void) { return (sum_t){0}; }
ALWAYS count_t counts_from(int32_t start) { return (count_t){0} + start; }
#endif

ALWAYS lanes lanes_of(sum_t sum) {
    lanes found;
    memcpy(&found, &sum, sizeof found);
    return found;
}

ALWAYS lanes choose(integers chosen, lanes these, lanes others) {
    return (lanes)((chosen & (integers)these) | (~chosen & (integers)others));
}

/* ---- elements ---- */

#ifdef BFLOAT16
typedef uint16_t element;
typedef uint16_t elements __attribute__((vector_size(32), aligned(2), may_alias));

ALWAYS lanes load(const element *from) {
    return (lanes)(__builtin_convertvector(*(const elements *)from, integers) << 16);
}

ALWAYS float as_float(element value) {
    const uint32_t bits = (uint32_t)value << 16;
    float found;
    memcpy(&found, &bits, sizeof found);
    return found;
}

ALWAYS void store(element *to, lanes values) {
    integers bits = (integers)values;
    integers rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16; /* half to even */
    integers number = values == values;
    rounded = (rounded & number) | (0x7fc0 & ~number);
    *(elements *)to = __builtin_convertvector(rounded, elements);
}
#else
typedef float element;

ALWAYS lanes load(const element *from) { return *(const lanes *)from; }
ALWAYS float as_float(element value) { return value; }
ALWAYS void store(element *to, lanes values) { *(lanes *)to = values; }
#endif

ALWAYS lanes load_part(const element *from, int count) {
    element padded[LANES] = {0};
    memcpy(padded, from, count * sizeof(element));
    return load(padded);
}

ALWAYS void store_part(element *to, lanes values, int count) {
    element padded[LANES];
    store(padded, values);
    memcpy(to, padded, count * sizeof(element));
}

/* Run BODY for 16 elements at a time: `part` is how many of them exist. */
#define IN_LANES(at, count, ...)                                                                   \
    for (int at = 0; at < (count); at += LANES) {                                                  \
        const int part = (count) - at < LANES ? (count) - at : LANES;                              \
        __VA_ARGS__                                                                                \
    }
#define LOAD(from) (part == LANES ? load(from) : load_part(from, part))
#define STORE(to, values)                                                                          \
    if (part == LANES) store(to, values);                                                          \
    else store_part(to, values, part);

#define MIXED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/* The sums of the lanes of four values, in the first four lanes; each is independent of the rest. */
ALWAYS lanes totals(lanes a, lanes b, lanes c, lanes d) {
    lanes ab = MIXED(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
               MIXED(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    lanes cd = MIXED(c, d, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
               MIXED(c, d, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    lanes all = MIXED(ab, cd, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
                MIXED(ab, cd, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    all += MIXED(all, all, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    return all + MIXED(all, all, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
}

ALWAYS float total(lanes values) {
    lanes found = totals(values, values, values, values);
    return found[0];
}

/* e^x with a relative error below 2e-7; exactly 0 below the smallest normal result. */
ALWAYS lanes exponential(lanes x) {
    const lanes least = (lanes){0} - 87.0f;
    integers small = x < least;
    x = choose(small, least, x);
    x = choose(x > -least, -least, x);
    lanes whole = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* rounds to an integer */
    lanes rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    lanes sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest * rest + rest + 1.0f;
    integers power = (__builtin_convertvector(whole, integers) + 127) << 23;
    return choose(~small, sum * (lanes)power, (lanes){0});
}

/* ---- products ---- */

#if defined(PAIRS)
typedef __m512bh chunk;
enum { STEP = 32 };
ALWAYS chunk chunk_of(const element *from) { return (chunk)_mm512_loadu_si512(from); }
ALWAYS sum_t add_products(sum_t sum, chunk left, chunk right) {
    return (sum_t)_mm512_dpbf16_ps((__m512)sum, left, right);
}
#elif defined(HALVES)
typedef sum_t chunk;
enum { STEP = LANES };
#ifdef BFLOAT16
ALWAYS chunk chunk_of(const element *from) { /* elements 0, 2, ... and 1, 3, ... */
    const __m256i pairs = _mm256_loadu_si256((const __m256i *)from);
    const __m256i odd = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff0000));
    return (chunk){_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)), _mm256_castsi256_ps(odd)};
}
#else
ALWAYS chunk chunk_of(const element *from) {
    return (chunk){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
#endif
ALWAYS sum_t add_products(sum_t sum, chunk left, chunk right) {
    return (sum_t){_mm256_fmadd_ps(left.low, right.low, sum.low),
                   _mm256_fmadd_ps(left.high, right.high, sum.high)};
}
#else
typedef lanes chunk;
enum { STEP = LANES };
ALWAYS chunk chunk_of(const element *from) { return load(from); }
ALWAYS sum_t add_products(sum_t sum, chunk left, chunk right) { return sum + left * right; }
#endif

static __attribute__((noinline)) chunk chunk_part(const element *from, int count) {
    element padded[STEP] = {0};
    memcpy(padded, from, count * sizeof(element));
    return chunk_of(padded);
}

/* A linear layer of full or of low-bit weights.

   A low-bit weight is scale * (code - middle) + zero, with one scale and one zero for each group of
   inputs. Codes lie in blocks of 16 outputs: [blocks, groups, steps, 16, 4]. A step has a byte for
   each of 16 outputs x 4 inputs. Of 4 bits, its low half bytes are those of 4 inputs and its high
   ones those of the next 4. Unused places of a last block or group hold any code. */
typedef struct {
    const void *weights;            /* elements, [outputs, inputs], or codes */
    const uint16_t *scales, *zeros; /* bfloat16, [blocks, groups, 16] */
    const element *bias;
    int64_t bits; /* of a code: 4 or 8; 0 for elements */
} linear_t;

/* Codes of 4 inputs at a time: with instructions for it, as bytes; else as words of the inputs
   0, 2, 1 and 3. */
#ifdef __AVX512VNNI__
typedef int8_t code_t;
static const int PLACES[4] = {0, 1, 2, 3};
#else
typedef int16_t code_t;
static const int PLACES[4] = {0, 2, 1, 3};
#endif

/* Rows rounded to 8 bits: an input is scale * code, with a scale for each group of a row. */
typedef struct {
    code_t *codes;  /* [rows, groups, 64] */
    float *scales;  /* [rows, groups] */
    int32_t *sums;  /* [rows, groups], of the codes of a group */
} rounded_t;

/* What a product reads: rows as they are and, for low-bit weights, rounded. */
typedef struct {
    const element *rows; /* [rows, inner] */
    rounded_t rounded;
} input_t;

static int64_t rounded_up(int64_t bytes) { return (bytes + 63) / 64 * 64; }

static int64_t groups_of(int64_t inner) { return (inner + GROUP - 1) / GROUP; }

/* Memory in which one thread rounds its inputs. */
int64_t rounded_bytes(int64_t rows, int64_t widest) {
    return rounded_up(rows * groups_of(widest) *
                      (GROUP * sizeof(code_t) + sizeof(float) + sizeof(int32_t)));
}

static void round_group(const element *from, rounded_t to, int64_t group) {
    lanes most = {0}, undefined = {0};
    for (int i = 0; i < GROUP; i += LANES) {
        lanes x = load(from + i);
        lanes size = choose(x < 0.0f, -x, x);
        most = choose(size > most, size, most);
        undefined += x * 0.0f; /* NaN where an input is not finite */
    }
    float highest = 0.0f;
    for (int i = 0; i < LANES; i++) highest = most[i] > highest ? most[i] : highest;
    const float inverse = highest > 1e-30f ? 127.0f / highest : 0.0f;
    int32_t sum = 0;
    for (int i = 0; i < GROUP; i += LANES) {
        lanes whole = (load(from + i) * inverse + 12582912.0f) - 12582912.0f;
        integers code = __builtin_convertvector(whole, integers);
        for (int k = 0; k < LANES; k++) {
            to.codes[group * GROUP + i + k / 4 * 4 + PLACES[k % 4]] = code[k];
            sum += code[k];
        }
    }
    to.scales[group] = highest / 127.0f + total(undefined);
    to.sums[group] = sum;
}

static rounded_t round_rows(const element *input, int rows, int inner, char *place) {
    const int64_t groups = groups_of(inner), last = (groups - 1) * GROUP;
    float *scales = (float *)(place + rows * groups * GROUP * sizeof(code_t));
    rounded_t to = {(code_t *)place, scales, (int32_t *)(scales + rows * groups)};
    for (int r = 0; r < rows; r++) {
        const element *row = input + (int64_t)r * inner;
        element tail[GROUP] = {0}; /* the last group, filled up with zeros */
        memcpy(tail, row + last, (inner - last) * sizeof(element));
        for (int g = 0; g < groups; g++)
            round_group(g * GROUP == last ? tail : row + g * GROUP, to, r * groups + g);
    }
    return to;
}

/* 64 bytes of codes; the low half of each byte and the high half. */
#ifdef HALVES
ALWAYS count_t bytes_at(const char *from) {
    const __m256i *halves = (const __m256i *)from;
    return (count_t){_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
ALWAYS count_t low_halves(count_t codes) {
    const __m256i half = _mm256_set1_epi8(15);
    return (count_t){_mm256_and_si256(codes.low, half), _mm256_and_si256(codes.high, half)};
}
ALWAYS count_t high_halves(count_t codes) {
    return low_halves((count_t){_mm256_srli_epi32(codes.low, 4), _mm256_srli_epi32(codes.high, 4)});
}
#else
ALWAYS count_t bytes_at(const char *from) { return *(const integers *)from; }
ALWAYS count_t low_halves(count_t codes) { return codes & 0x0f0f0f0f; }
ALWAYS count_t high_halves(count_t codes) { return codes >> 4 & 0x0f0f0f0f; }
#endif

/* sums + the products of 16 outputs x 4 inputs. */
ALWAYS count_t add_four(count_t sums, count_t weights, const code_t *four) {
#if defined(__AVX512VNNI__)
    int32_t all;
    memcpy(&all, four, sizeof all);
    return (count_t)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)weights, _mm512_set1_epi32(all));
#elif defined(HALVES)
    int32_t even, odd;
    memcpy(&even, four, sizeof even);
    memcpy(&odd, four + 2, sizeof odd);
    const __m256i byte = _mm256_set1_epi16(255);
    const __m256i evens = _mm256_set1_epi32(even), odds = _mm256_set1_epi32(odd);
#define OF(half)                                                                                   \
    _mm256_add_epi32(sums.half,                                                                    \
                     _mm256_add_epi32(                                                             \
                         _mm256_madd_epi16(_mm256_and_si256(weights.half, byte), evens),           \
                         _mm256_madd_epi16(_mm256_srli_epi16(weights.half, 8), odds)))
    return (count_t){OF(low), OF(high)};
#undef OF
#else
    EACH(k, 4) sums += (weights >> 8 * k & 255) * (int32_t)four[PLACES[k]];
    return sums;
#endif
}

/* sums += codes x inputs for `rows` rows and one block of a group: integers, exact in any order. */
ALWAYS void add_group(const char *from, int bits, const code_t *const *input, int rows,
                      count_t (*sums)[2]) {
    const int inputs = 32 / bits; /* of a step */
    EACH(step, GROUP / inputs) {
        const count_t codes = bytes_at(from + 64 * step);
        __builtin_prefetch(from + 64 * step + AHEAD);
        if (bits == 8) {
            EACH(r, rows) sums[r][step % 2] = add_four(sums[r][step % 2], codes, input[r] + 4 * step);
        } else {
            const count_t low = low_halves(codes), high = high_halves(codes);
            EACH(r, rows) {
                sums[r][0] = add_four(sums[r][0], low, input[r] + 8 * step);
                sums[r][1] = add_four(sums[r][1], high, input[r] + 8 * step + 4);
            }
        }
    }
}

/* sum + (counts x scale + zero x inputs) x size, for one group of weights and of a row. */
#ifdef HALVES
ALWAYS __m256 wide_half(const uint16_t *bfloat16) {
    const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)bfloat16));
    return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
}
ALWAYS sum_t add_scaled(sum_t sum, count_t first, count_t second, const uint16_t *scales,
                        const uint16_t *zeros, float inputs, float size) {
    const __m256 all = _mm256_set1_ps(inputs), times = _mm256_set1_ps(size);
#define OF(half, at)                                                                               \
    _mm256_fmadd_ps(_mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(first.half, second.half)), \
                                    wide_half(scales + at),                                        \
                                    _mm256_mul_ps(wide_half(zeros + at), all)),                    \
                    times, sum.half)
    return (sum_t){OF(low, 0), OF(high, 8)};
#undef OF
}
#else
ALWAYS lanes widened(const uint16_t *bfloat16) {
    return (lanes)(__builtin_convertvector(*(const words *)bfloat16, integers) << 16);
}
ALWAYS sum_t add_scaled(sum_t sum, count_t first, count_t second, const uint16_t *scales,
                        const uint16_t *zeros, float inputs, float size) {
    const lanes counts = __builtin_convertvector(first + second, lanes);
    return sum + (counts * widened(scales) + widened(zeros) * inputs) * size;
}
#endif

/* One block of 16 outputs for a few rows; inlined with a constant number of rows. */
ALWAYS void block_of_codes(linear_t matrix, int bits, int block, rounded_t input, int first, int rows,
                           int groups, lanes *found) {
    const int size = LANES * GROUP * bits / 8, middle = 1 << (bits - 1);
    sum_t total[TILE];
    EACH(r, rows) total[r] = no_sum();
    for (int g = 0; g < groups; g++) {
        const int64_t at = (int64_t)block * groups + g;
        const code_t *from[TILE];
        count_t sums[TILE][2];
        EACH(r, rows) {
            const int64_t group = (int64_t)(first + r) * groups + g;
            from[r] = input.codes + group * GROUP;
            sums[r][0] = counts_from(-middle * input.sums[group]);
            sums[r][1] = counts_from(0);
        }
        add_group((const char *)matrix.weights + at * size, bits, from, rows, sums);
        EACH(r, rows) {
            const int64_t group = (int64_t)(first + r) * groups + g;
            total[r] = add_scaled(total[r], sums[r][0], sums[r][1], matrix.scales + at * LANES,
                                  matrix.zeros + at * LANES, input.sums[group], input.scales[group]);
        }
    }
    EACH(r, rows) found[r] = lanes_of(total[r]);
}

/* result[row, output] for consecutive outputs of a layer with low-bit weights, by one thread. */
ALWAYS void multiply_codes(linear_t matrix, int bits, int first, int outputs, rounded_t input,
                           int rows, int inner, float *result, int result_stride) {
    const int groups = groups_of(inner);
    for (int block = first / LANES; block * LANES < first + outputs; block++) {
        const int from = block * LANES < first ? first : block * LANES;
        const int to = (block + 1) * LANES < first + outputs ? (block + 1) * LANES : first + outputs;
        for (int r = 0; r < rows; r += TILE) {
            lanes found[TILE];
            const int count = rows - r < TILE ? rows - r : TILE;
#define OF(number) block_of_codes(matrix, bits, block, input, r, number, groups, found)
            switch (count) {
            case 1: OF(1); break;
            case 2: OF(2); break;
            case 3: OF(TILE > 2 ? 3 : 2); break;
            default: OF(TILE);
            }
#undef OF
            for (int k = 0; k < count; k++)
                memcpy(result + (r + k) * result_stride + from - first,
                       (const float *)&found[k] + from - block * LANES, (to - from) * sizeof(float));
        }
    }
}

/* The sums of `rows` dot products with the weights of one output. One output after the other reads
   a matrix in the order in which it lies in memory, which is what memory is fastest at. */
ALWAYS void dot(const element *weights, const element *input, int stride, int rows, int inner,
                sum_t *sums) {
    int at = 0;
    EACH(r, rows) sums[r] = no_sum();
    for (; at + STEP <= inner; at += STEP) {
        __builtin_prefetch((const char *)(weights + at) + AHEAD, 0, 2); /* into the second cache */
        const chunk column = chunk_of(weights + at);
        EACH(r, rows)
            sums[r] = add_products(sums[r], column, chunk_of(input + (int64_t)r * stride + at));
    }
    if (at == inner) return;
    const chunk column = chunk_part(weights + at, inner - at);
    EACH(r, rows) {
        const chunk row = chunk_part(input + (int64_t)r * stride + at, inner - at);
        sums[r] = add_products(sums[r], column, row);
    }
}

/* outputs x rows dot products of `inner` elements; inlined with constant numbers of both. */
ALWAYS void strip(const element *matrix, int outputs, const element *input, int stride, int rows,
                  int inner, float *result, int result_stride) {
    lanes sums[STRIP][4] = {0};
    EACH(o, outputs) {
        sum_t own[STRIP];
        dot(matrix + (int64_t)o * inner, input, stride, rows, inner, own);
        EACH(r, rows) sums[r][o] = lanes_of(own[r]);
    }
    EACH(r, rows) {
        lanes found = totals(sums[r][0], sums[r][1], sums[r][2], sums[r][3]);
        memcpy(result + r * result_stride, &found, outputs * sizeof(float));
    }
}

/* The same for 1 to STRIP rows. */
ALWAYS void strip_of(const element *matrix, int outputs, const element *input, int stride, int rows,
                     int inner, float *result, int result_stride) {
#define OF(number)                                                                                 \
    case number:                                                                                   \
        strip(matrix, outputs, input, stride, number < STRIP ? number : STRIP, inner, result,      \
              result_stride);                                                                      \
        break;
    switch (rows) {
        OF(1) OF(2) OF(3) OF(4) OF(5) OF(6) OF(7) OF(8)
    }
#undef OF
}

/* sums[row][first + output] += the products of inputs from..to, in the order of `dot`. */
ALWAYS void tile(const element *weights, int outputs, const element *input, int stride, int rows,
                 int inner, int from, int to, sum_t (*sums)[4], int first) {
    sum_t own[TILE][TILE];
    int at = from;
    EACH(r, rows) EACH(o, outputs) own[r][o] = sums[r][first + o];
    for (; at + STEP <= to; at += STEP) {
        chunk columns[TILE];
        EACH(o, outputs) {
            const element *place = weights + (int64_t)o * inner + at;
            __builtin_prefetch(place + (int64_t)4 * inner, 0, 2); /* of the four outputs after these */
            columns[o] = chunk_of(place);
        }
        EACH(r, rows) {
            const chunk row = chunk_of(input + (int64_t)r * stride + at);
            EACH(o, outputs) own[r][o] = add_products(own[r][o], columns[o], row);
        }
    }
    if (at < to) {
        chunk columns[TILE];
        EACH(o, outputs) columns[o] = chunk_part(weights + (int64_t)o * inner + at, to - at);
        EACH(r, rows) {
            const chunk row = chunk_part(input + (int64_t)r * stride + at, to - at);
            EACH(o, outputs) own[r][o] = add_products(own[r][o], columns[o], row);
        }
    }
    EACH(r, rows) EACH(o, outputs) sums[r][first + o] = own[r][o];
}

/* The same as `strip` for any number of rows and of inputs: a part of the inputs after the other,
   which the first cache keeps, and a weight is read once for TILE rows. */
ALWAYS void tiles(const element *matrix, int outputs, const element *input, int stride, int rows,
                  int inner, float *result, int result_stride) {
    sum_t sums[MOST_ROWS][4];
    for (int r = 0; r < rows; r++) EACH(o, 4) sums[r][o] = no_sum();
    const int wide = outputs < TILE ? outputs : TILE;
    for (int from = 0; from < inner; from += DEPTH) {
        const int to = inner - from < DEPTH ? inner : from + DEPTH;
        for (int r = 0; r < rows; r += TILE) {
            const element *x = input + (int64_t)r * stride;
            EACH(part, outputs / wide) {
                const int o = part * wide;
                const element *weights = matrix + (int64_t)o * inner;
#define OF(number) tile(weights, wide, x, stride, number, inner, from, to, sums + r, o)
                switch (rows - r) {
                case 1: OF(1); break;
                case 2: OF(2); break;
                case 3: OF(TILE > 2 ? 3 : 2); break;
                default: OF(TILE);
                }
#undef OF
            }
        }
    }
    for (int r = 0; r < rows; r++) {
        lanes each[4];
        EACH(o, 4) each[o] = lanes_of(sums[r][o]);
        lanes found = totals(each[0], each[1], each[2], each[3]);
        memcpy(result + r * result_stride, &found, outputs * sizeof(float));
    }
}

/* result[row, output] for `outputs` consecutive rows of a matrix, by one thread. */
static void multiply_elements(const element *matrix, int outputs, const element *input, int stride,
                              int rows, int inner, float *result, int result_stride) {
    const int large = rows > 1 && rows * inner * (int)sizeof(element) > NEAR;
#define OF(number)                                                                                 \
    for (; o + number <= outputs; o += number) {                                                   \
        const element *weights = matrix + (int64_t)o * inner;                                      \
        if (large || rows > STRIP)                                                                 \
            tiles(weights, number, input, stride, rows, inner, result + o, result_stride);         \
        else strip_of(weights, number, input, stride, rows, inner, result + o, result_stride);     \
    }
    int o = 0;
    OF(4) OF(1)
#undef OF
}

/* result[row, output] for `outputs` consecutive outputs of a layer, by one thread. */
static void multiply(linear_t matrix, int first, int outputs, input_t input, int rows, int inner,
                     float *result, int result_stride) {
    if (matrix.bits == 4)
        multiply_codes(matrix, 4, first, outputs, input.rounded, rows, inner, result, result_stride);
    else if (matrix.bits == 8)
        multiply_codes(matrix, 8, first, outputs, input.rounded, rows, inner, result, result_stride);
    else
        multiply_elements((const element *)matrix.weights + (int64_t)first * inner, outputs,
                          input.rows, inner, rows, inner, result, result_stride);
    if (matrix.bias == NULL) return;
    for (int o = 0; o < outputs; o++)
        for (int r = 0; r < rows; r++)
            result[r * result_stride + o] += as_float(matrix.bias[first + o]);
}

/* ---- a walk ---- */

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

/* One thread's place among those that really run: there may be fewer than were asked for. */
typedef struct {
    int own, all;
} team_t;

static team_t here(void) { return (team_t){omp_get_thread_num(), omp_get_num_threads()}; }

int64_t scratch_bytes(const model_t *model, int64_t rows, int64_t columns, int64_t threads) {
    int64_t wide = model->heads * model->head_size;
    int64_t inner = model->intermediate > 2 * wide ? model->intermediate : 2 * wide;
    return rounded_up(rows * model->hidden * sizeof(element)) +
           rounded_up(rows * inner * sizeof(element)) +
           threads * rounded_up(TILE * columns * sizeof(float));
}

static void normalise(const element *row, const element *gain, int count, float eps, element *to) {
    lanes squares = {0};
    IN_LANES(i, count, lanes x = LOAD(row + i); squares += x * x;)
    float factor = 1.0f / sqrtf(total(squares) / count + eps);
    IN_LANES(i, count, STORE(to + i, LOAD(row + i) * factor * LOAD(gain + i)))
}

/* Normalised rows in scratch, made by all threads of a team together. */
static element *normalised(const model_t *model, const frame_t *frame, const element *gain,
                           const element *in, team_t team) {
    element *to = (element *)frame->scratch;
    for (int r = team.own; r < frame->rows; r += team.all)
        normalise(in + r * model->hidden, gain, model->hidden, model->eps, to + r * model->hidden);
#pragma omp barrier
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
    element *inner =
        (element *)(frame->scratch + rounded_up(frame->rows * model->hidden * sizeof(element)));
    const element *input = normalised(model, frame, layer->mlp_norm, in, team);
    gate(model, layer, frame, input, inner, team);
#pragma omp barrier
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
    char *scratch = frame->scratch + rounded_up(frame->rows * model->hidden * sizeof(element));
    element *queries = (element *)scratch, *mixed = queries + frame->rows * wide;
    const int64_t inner = model->intermediate > 2 * wide ? model->intermediate : 2 * wide;
    scratch += rounded_up(frame->rows * inner * sizeof(element));
    const int64_t own = team.own, all = team.all;
    const element *rows = normalised(model, frame, layer->attention_norm, in, team);
    const input_t input = input_of(layer->qkv, rows, model->hidden, frame, team);
    const int64_t projected = heads + 2 * model->kv_heads;
    for (int64_t h = projected * own / all; h < projected * (own + 1) / all; h++)
        project(model, layer, frame, index, input, queries, h);
#pragma omp barrier
    float *scores = (float *)(scratch + own * rounded_up(TILE * frame->columns * sizeof(float)));
    for (int64_t h = heads * own / all; h < heads * (own + 1) / all; h++)
        attend(model, frame, index, allowed, queries, mixed, scores, h);
#pragma omp barrier
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
#pragma omp barrier
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
#pragma omp parallel num_threads(frame->threads)
    {
        const team_t team = here();
        for (int64_t i = 0; i < count; i++) {
            const element *from = i ? out : in;
            if (copies && copies[i] && team.own == 0) memcpy(copies[i], from, stream);
            run_sublayer(model, frame, list[i], from, out, team);
        }
    }
}

void head(const model_t *model, const frame_t *frame, const element *norm, const linear_t *matrix,
          int64_t vocabulary, const element *in, element *out) {
#pragma omp parallel num_threads(frame->threads)
    read_out(model, frame, norm, matrix, vocabulary, in, out, here());
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
#pragma omp parallel num_threads(frame->threads)
    {
        const team_t team = here();
        for (int64_t i = 0; i <= count; i++) {
            const element *from = i ? out : in;
            if (copies[i] && team.own == 0) memcpy(copies[i], from, model->hidden * sizeof(element));
            if (i < count) run_sublayer(model, frame, list[i], from, out, team);
            else read_out(model, frame, norm, matrix, vocabulary, from, logits, team);
        }
#pragma omp barrier
        if (team.own == 0) *top = top_of(logits, vocabulary, 1);
    }
}

/* The head, and the top token of each row, without its probability. */
void decide(const model_t *model, const frame_t *frame, const element *norm, const linear_t *matrix,
            int64_t vocabulary, const element *in, element *logits, top_t *tops) {
#pragma omp parallel num_threads(frame->threads)
    {
        const team_t team = here();
        read_out(model, frame, norm, matrix, vocabulary, in, logits, team);
#pragma omp barrier
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
#pragma omp parallel num_threads(frame->threads)
    for (int64_t i = 0; i < count; i++) {
        multiply_and_add(list[i].matrix, in, list[i].inner, list[i].outputs, 1.0f, NULL, out, frame,
                         here());
#pragma omp barrier
    }
}
