/* Agents with their whole state in AVX-512 registers, 16 at a time: the practical limit of a core.
 *
 * The generator is threefry-2x32 with 20 rounds, counters (agent, step), like JAX's; one call of it
 * for each agent and step gives a word for the noise and a word for exploration. Normal draws by Box
 * and Muller's formula from the noise words of two steps. Ties are found and broken at random.
 *
 * Compiled with -DARMS=A and -DPAIRED=0 or 1 (1: UCB, which explores by no draw, uses both words for
 * noise, so that one call serves two steps).
 */
#include <immintrin.h>
#include <stdint.h>

#ifndef ARMS
#define ARMS 10
#endif
#ifndef PAIRED
#define PAIRED 0
#endif

typedef __m512 vf;
typedef __m512i vi;
#define F(x) _mm512_set1_ps(x)
#define I(x) _mm512_set1_epi32((int)(x))
#define INLINE static inline __attribute__((always_inline))

typedef struct { vi a, b; } words;

INLINE words threefry(uint32_t k0, uint32_t k1, vi x0, vi x1) {
  const uint32_t key[3] = {k0, k1, 0x1BD11BDAu ^ k0 ^ k1};
  x0 = _mm512_add_epi32(x0, I(k0));
  x1 = _mm512_add_epi32(x1, I(k1));
#define ROUND(r) x0 = _mm512_add_epi32(x0, x1); x1 = _mm512_xor_si512(_mm512_rol_epi32(x1, r), x0);
#define INJECT(i) x0 = _mm512_add_epi32(x0, I(key[i % 3])); \
                  x1 = _mm512_add_epi32(x1, I(key[(i + 1) % 3] + i));
  ROUND(13) ROUND(15) ROUND(26) ROUND(6) INJECT(1)
  ROUND(17) ROUND(29) ROUND(16) ROUND(24) INJECT(2)
  ROUND(13) ROUND(15) ROUND(26) ROUND(6) INJECT(3)
  ROUND(17) ROUND(29) ROUND(16) ROUND(24) INJECT(4)
  ROUND(13) ROUND(15) ROUND(26) ROUND(6) INJECT(5)
  return (words){x0, x1};
}

/* Uniform on (0, 1): 24 bits and a half. */
INLINE vf uniform(vi word) {
  vf bits = _mm512_cvtepi32_ps(_mm512_srli_epi32(word, 8));
  return _mm512_mul_ps(_mm512_add_ps(bits, F(0.5f)), F(0x1p-24f));
}

/* Natural logarithm of positive numbers (Cephes' polynomial). */
INLINE vf logarithm(vf x) {
  vf e = _mm512_getexp_ps(_mm512_mul_ps(x, F(4.0f / 3.0f)));
  vf f = _mm512_sub_ps(_mm512_getmant_ps(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero), F(1.0f));
  vf p = F(7.0376836292e-2f);
  p = _mm512_fmadd_ps(p, f, F(-1.1514610310e-1f));
  p = _mm512_fmadd_ps(p, f, F(1.1676998740e-1f));
  p = _mm512_fmadd_ps(p, f, F(-1.2420140846e-1f));
  p = _mm512_fmadd_ps(p, f, F(1.4249322787e-1f));
  p = _mm512_fmadd_ps(p, f, F(-1.6668057665e-1f));
  p = _mm512_fmadd_ps(p, f, F(2.0000714765e-1f));
  p = _mm512_fmadd_ps(p, f, F(-2.4999993993e-1f));
  p = _mm512_fmadd_ps(p, f, F(3.3333331174e-1f));
  vf square = _mm512_mul_ps(f, f);
  vf y = _mm512_fmadd_ps(p, _mm512_mul_ps(square, f), _mm512_mul_ps(square, F(-0.5f)));
  return _mm512_fmadd_ps(e, F(0.69314718056f), _mm512_add_ps(f, y));
}

/* 1/sqrt(x) to rounding: an estimate of 14 bits and a Newton step. */
INLINE vf inverse_root(vf x) {
  vf y = _mm512_rsqrt14_ps(x);
  vf half = _mm512_mul_ps(_mm512_mul_ps(x, y), y);
  return _mm512_mul_ps(y, _mm512_fnmadd_ps(half, F(0.5f), F(1.5f)));
}

typedef struct { vf a, b; } normals;

/* Two independent normal draws of deviation sigma from two words. */
INLINE normals box_muller(vi word0, vi word1, float sigma) {
  vf square = _mm512_mul_ps(logarithm(uniform(word0)), F(-2.0f * sigma * sigma));
  vf radius = _mm512_mul_ps(square, inverse_root(_mm512_max_ps(square, F(1e-30f))));
  /* An angle within 45 degrees of an axis; bits 31 and 30 choose the axis. */
  vi fraction = _mm512_and_si512(word1, I(0x3FFFFFFF));
  vf x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(fraction), F(1.57079632679f * 0x1p-30f),
                         F(-0.78539816340f));
  vf xx = _mm512_mul_ps(x, x);
  vf s = _mm512_fmadd_ps(xx, F(-1.9515295891e-4f), F(8.3321608736e-3f));
  s = _mm512_fmadd_ps(s, xx, F(-1.6666654611e-1f));
  s = _mm512_fmadd_ps(_mm512_mul_ps(s, xx), x, x);
  vf c = _mm512_fmadd_ps(xx, F(2.443315711809948e-5f), F(-1.388731625493765e-3f));
  c = _mm512_fmadd_ps(c, xx, F(4.166664568298827e-2f));
  c = _mm512_fmadd_ps(c, xx, F(-0.5f));
  c = _mm512_fmadd_ps(c, xx, F(1.0f));
  vi sign = _mm512_slli_epi32(_mm512_and_si512(word1, I(0x40000000)), 1);
  c = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(c), sign));
  __mmask16 swap = _mm512_movepi32_mask(word1);
  return (normals){_mm512_mul_ps(radius, _mm512_mask_mov_ps(c, swap, s)),
                   _mm512_mul_ps(radius, _mm512_mask_mov_ps(s, swap, c))};
}

typedef struct { vf mean[ARMS], scale[ARMS]; } state;

/* Among the arms of equal value, the one with the greatest fresh word. Rare. */
static __attribute__((noinline)) vi break_ties(const __mmask16 *greatest, uint32_t k0, uint32_t k1,
                                               vi agent, uint32_t step) {
  vi best = I(0), arm = I(0);
  for (int k = 0; k < ARMS; k++) {
    words w = threefry(k0, k1, agent, I(0x80000000u | (step * ARMS + k)));
    vi draw = _mm512_or_si512(w.a, I(1));
    __mmask16 wins = _mm512_mask_cmpgt_epu32_mask(greatest[k], draw, best);
    best = _mm512_mask_mov_epi32(best, wins, draw);
    arm = _mm512_mask_mov_epi32(arm, wins, I(k));
  }
  return arm;
}

/* One step of 16 agents; `width` is beta sqrt(ln t), `initial` pulls the arm of rank `step`. */
INLINE vf one_step(state *s, const vf *mu, const vi *rank, int initial, int ucb, uint32_t step,
                   float width, float epsilon, vf noise, vi word, vi agent, uint32_t k0,
                   uint32_t k1) {
  __mmask16 pulled[ARMS];
  if (initial) {
    for (int k = 0; k < ARMS; k++) pulled[k] = _mm512_cmpeq_epi32_mask(rank[k], I(step));
  } else {
    vf value[ARMS];
    for (int k = 0; k < ARMS; k++)
      value[k] = ucb ? _mm512_fmadd_ps(F(width), s->scale[k], s->mean[k]) : s->mean[k];
    vf best = value[0];
    for (int k = 1; k < ARMS; k++) best = _mm512_max_ps(best, value[k]);
    unsigned number = 0;
    for (int k = 0; k < ARMS; k++) {
      pulled[k] = _mm512_cmp_ps_mask(value[k], best, _CMP_EQ_OQ);
      number += (unsigned)__builtin_popcount(pulled[k]);
    }
    if (__builtin_expect(number != 16, 0)) {
      vi arm = break_ties(pulled, k0, k1, agent, step);
      for (int k = 0; k < ARMS; k++) pulled[k] = _mm512_cmpeq_epi32_mask(arm, I(k));
    }
    if (!ucb) { /* below epsilon, the same uniform draw names the arm */
      vf u = uniform(word);
      __mmask16 explore = _mm512_cmp_ps_mask(u, F(epsilon), _CMP_LT_OQ);
      vi arm = _mm512_cvttps_epi32(_mm512_mul_ps(u, F(ARMS / epsilon)));
      for (int k = 0; k < ARMS; k++)
        pulled[k] = (pulled[k] & ~explore) | _mm512_mask_cmpeq_epi32_mask(explore, arm, I(k));
    }
  }
  vf reward = mu[0], mean = s->mean[0], scale = s->scale[0];
  for (int k = 1; k < ARMS; k++) {
    reward = _mm512_mask_mov_ps(reward, pulled[k], mu[k]);
    mean = _mm512_mask_mov_ps(mean, pulled[k], s->mean[k]);
    scale = _mm512_mask_mov_ps(scale, pulled[k], s->scale[k]);
  }
  reward = _mm512_add_ps(reward, noise);
  /* c = 1/sqrt(n): c <- c / sqrt(1 + c^2); the first pull sets it to 1 */
  vf next = F(1.0f);
  if (!initial) next = _mm512_mul_ps(scale, inverse_root(_mm512_fmadd_ps(scale, scale, F(1.0f))));
  mean = _mm512_fmadd_ps(_mm512_sub_ps(reward, mean), _mm512_mul_ps(next, next), mean);
  for (int k = 0; k < ARMS; k++) {
    s->mean[k] = _mm512_mask_mov_ps(s->mean[k], pulled[k], mean);
    s->scale[k] = _mm512_mask_mov_ps(s->scale[k], pulled[k], next);
  }
  return reward;
}

INLINE vf two_steps(state *s, const vf *mu, const vi *rank, int initial, int ucb, uint32_t step,
                    const float *widths, float epsilon, float sigma, vi agent, uint32_t k0,
                    uint32_t k1) {
  words first = threefry(k0, k1, agent, I(step));
  words second = first;
  normals noise;
  if (PAIRED && ucb) {
    noise = box_muller(first.a, first.b, sigma);
  } else {
    second = threefry(k0, k1, agent, I(step + 1));
    noise = box_muller(first.a, second.a, sigma);
  }
  vf reward = one_step(s, mu, rank, initial, ucb, step, widths[step], epsilon, noise.a, first.b,
                       agent, k0, k1);
  return _mm512_add_ps(reward, one_step(s, mu, rank, initial, ucb, step + 1, widths[step + 1],
                                        epsilon, noise.b, second.b, agent, k0, k1));
}

INLINE double run(int ucb, uint32_t k0, uint32_t k1, const float *means, long agents, int horizon,
                  const float *widths, float epsilon, float sigma) {
  double total = 0.0;
  for (long start = 0; start < agents; start += 16) {
    long left = agents - start;
    __mmask16 lanes = left >= 16 ? 0xFFFF : (__mmask16)((1u << left) - 1);
    vi lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    vi agent = _mm512_add_epi32(I(start), lane);
    vi row = _mm512_mullo_epi32(lane, I(ARMS));
    vf mu[ARMS];
    vi draw[ARMS], rank[ARMS];
    state s;
    for (int k = 0; k < ARMS; k++) {
      mu[k] = _mm512_mask_i32gather_ps(F(0.0f), lanes, row, means + start * ARMS + k, 4);
      s.mean[k] = s.scale[k] = F(0.0f);
      vi word = threefry(k0, k1, agent, I(0x40000000u | k)).a;
      draw[k] = _mm512_or_si512(_mm512_and_si512(word, I(~15)), I(k));
    }
    for (int k = 0; k < ARMS; k++) { /* the initial pulls: the ranks of random words */
      rank[k] = I(0);
      for (int j = 0; j < ARMS; j++)
        rank[k] = _mm512_mask_add_epi32(rank[k], _mm512_cmplt_epu32_mask(draw[j], draw[k]), rank[k],
                                        I(1));
    }
    vf sum = F(0.0f);
    int step = 0;
    for (; step < ARMS; step += 2)
      sum = _mm512_add_ps(sum, two_steps(&s, mu, rank, 1, ucb, step, widths, epsilon, sigma, agent,
                                         k0, k1));
    for (; step < horizon; step += 2)
      sum = _mm512_add_ps(sum, two_steps(&s, mu, rank, 0, ucb, step, widths, epsilon, sigma, agent,
                                         k0, k1));
    total += (double)_mm512_mask_reduce_add_ps(lanes, sum);
  }
  return total;
}

/* Sum of all rewards. `means` [agents, ARMS], `widths` [horizon]; ARMS and horizon even. */
double simulate(int ucb, uint32_t k0, uint32_t k1, const float *means, long agents, int horizon,
                const float *widths, float epsilon, float sigma) {
  return ucb ? run(1, k0, k1, means, agents, horizon, widths, epsilon, sigma)
             : run(0, k0, k1, means, agents, horizon, widths, epsilon, sigma);
}

/* `number` pairs of normal draws of deviation 1, for tests of their law; a multiple of 16. */
void draw_normals(uint32_t k0, uint32_t k1, long number, float *out) {
  for (long i = 0; i < number; i += 16) {
    vi lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    words w = threefry(k0, k1, _mm512_add_epi32(I(i), lane), I(0));
    normals pair = box_muller(w.a, w.b, 1.0f);
    _mm512_storeu_ps(out + 2 * i, pair.a);
    _mm512_storeu_ps(out + 2 * i + 16, pair.b);
  }
}

/* The generator itself, for tests against JAX's: 16 counters (i, step). */
void draw_words(uint32_t k0, uint32_t k1, uint32_t step, uint32_t *out) {
  vi lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  words w = threefry(k0, k1, lane, I(step));
  _mm512_storeu_si512(out, w.a);
  _mm512_storeu_si512(out + 16, w.b);
}
