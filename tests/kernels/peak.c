/* Independent chains of multiply-adds in registers, as a C compiler makes them: what `tile.peak` is compared with.
   A call does `steps` multiply-adds in each lane of each of CHAINS vectors, or steps of 32 x 32 sums. */
#define CHAINS 24

#define FLOATS(name, type, bytes)                                                                  \
    typedef type name##_vector __attribute__((vector_size(bytes)));                                \
    int name##_lanes(void) { return bytes / sizeof(type); }                                        \
    type name(long steps) {                                                                        \
        name##_vector sums[CHAINS], factor, term;                                                  \
        for (int l = 0; l < name##_lanes(); l++) factor[l] = 0.5, term[l] = 0.25;                  \
        for (int c = 0; c < CHAINS; c++) sums[c] = term * (type)c;                                 \
        for (long i = 0; i < steps; i++) {                                                         \
            _Pragma("GCC unroll 24") for (int c = 0; c < CHAINS; c++) sums[c] = sums[c] * factor + term; \
        }                                                                                          \
        type total = 0;                                                                            \
        for (int c = 0; c < CHAINS; c++) total += sums[c][0];                                      \
        return total;                                                                              \
    }

#if defined(__AVX512F__)
FLOATS(float32, float, 64)
FLOATS(float64, double, 64)
#elif defined(__AVX__)
FLOATS(float32, float, 32)
FLOATS(float64, double, 32)
#else
FLOATS(float32, float, 16)
FLOATS(float64, double, 16)
#endif

#if defined(__AMX_BF16__)
#include <immintrin.h>
float amx(long steps) {
    /* Palette 1; eight registers of 16 rows of 64 bytes. Volatile, as GCC does not see that all of it is read. */
    volatile unsigned char setting[64] = {1};
    for (int i = 0; i < 8; i++) setting[16 + 2 * i] = 64, setting[48 + i] = 16;
    _tile_loadconfig((const void *)setting);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (long i = 0; i < steps; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return 0;
}
#endif

#if defined(__AVX512BF16__)
#include <immintrin.h>
float dot(long steps) {
    __m512 sums[CHAINS];
    __m512bh factor = (__m512bh)_mm512_set1_epi16(0x3f00);
    for (int c = 0; c < CHAINS; c++) sums[c] = _mm512_set1_ps(c);
    for (long i = 0; i < steps; i++) {
        _Pragma("GCC unroll 24") for (int c = 0; c < CHAINS; c++) sums[c] = _mm512_dpbf16_ps(sums[c], factor, factor);
    }
    for (int c = 1; c < CHAINS; c++) sums[0] = _mm512_add_ps(sums[0], sums[c]);
    return _mm512_cvtss_f32(sums[0]);
}
#endif
