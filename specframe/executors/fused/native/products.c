/* Products of a few rows with matrices of full weights and of 4 or 8 bits a weight.

   Every sum is added up in one order, whatever the number of rows and of threads. A row computed
   alone therefore equals the same row in a block, bit for bit. Matrices are row-major,
   [outputs, inputs]; low-bit ones have an order of their own, and round their inputs to 8 bits. */

#ifdef __AVX512F__
/* Sums that are kept in registers: of TILE rows x TILE outputs, or of STRIP rows and one output. */
enum { TILE = 4, STRIP = 8 };
#else
enum { TILE = 2, STRIP = 4 };
#endif
enum { NEAR = 16384, DEPTH = 1024 }; /* bytes of inputs, and inputs, that the first cache keeps */
/* Bytes: how far ahead weights are fetched for one row, which processors also do by themselves, and
   for several rows, where they wait for arithmetic and stop doing so. */
enum { AHEAD = 2048, FAR_AHEAD = 8192 };

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
        __builtin_prefetch(from + 64 * step + AHEAD, 0, 2);
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
    const int ahead = rows == 1 ? AHEAD : FAR_AHEAD;
    int at = 0;
    EACH(r, rows) sums[r] = no_sum();
    for (; at + STEP <= inner; at += STEP) {
        __builtin_prefetch((const char *)(weights + at) + ahead, 0, 2); /* into the second cache */
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
