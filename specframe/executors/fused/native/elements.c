/* Vectors of 16 numbers, and elements of a tensor, for `products.c` and `sublayers.c`.

   `build.py` compiles the three as one text, in this order. Elements are bfloat16 with -DBFLOAT16,
   else float32; sums are float32. */

#include <limits.h>
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif
#if defined(BFLOAT16) && defined(__AVX512BF16__)
#define PAIRS /* the processor adds up products of bfloat16 pairs */
#endif

#define ALWAYS static inline __attribute__((always_inline))
#define EACH(i, count) _Pragma("GCC unroll 8") for (int i = 0; i < (count); i++)

enum { LANES = 16, MOST_ROWS = 32, BLOCK = 64, WIDEST_HEAD = 256, GROUP = 64 };

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
