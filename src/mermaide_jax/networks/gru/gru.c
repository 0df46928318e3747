/* The loops of `mermaide_jax.networks.gru.gru` on CPUs, called by XLA through its foreign function
   interface. The equations are at the top of gru.py, what calls this is native.py.

   Arrays are dense and of float32: states [M, N, H], sequences [M, T, N, X], weights [G, ...] with
   G = 1 (all M members share them) or M a multiple of G (M / G members share each). All rows that
   share weights go through a step together, in tiles of a few rows by a few vectors of columns, whose
   sums stay in registers while the weights are read once, in the order in which they lie. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "xla/ffi/api/c_api.h"

#if defined(WIDTH) /* and TILE, to try other processors' code on this one */
#elif defined(__AVX512F__)
#define WIDTH 16
#define TILE 8 /* rows of a tile: sums and weights fill the registers */
#elif defined(__AVX__)
#define WIDTH 8
#define TILE 4
#else
#define WIDTH 4
#define TILE 4
#endif

typedef float Vec __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
#define AT(pointer) (*(Vec *)(pointer))
#define READ(pointer) (*(const Vec *)(pointer))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

int vector_width(void) { return WIDTH; }

/* ---- activations, to a few units in the last place ---- */

INLINE Vec all(float x) { return x - (Vec){0}; }

INLINE Vec choose(Ints which, Vec yes, Vec no) {
  return (Vec)((which & (Ints)yes) | (~which & (Ints)no));
}

INLINE Vec clip(Vec x, float bound) { /* what is not a number stays so */
  x = choose(x < all(-bound), all(-bound), x);
  return choose(x > all(bound), all(bound), x);
}

/* 1 / (1 + e^-x), with e^y = 2^k e^f for the nearest whole k. */
INLINE Vec sigmoid(Vec x) {
  Vec y = -clip(x, 87.0f);
  Vec k = (y * 1.44269504089f + 12582912.0f) - 12582912.0f;
  Vec f = (y - k * 0.693359375f) + k * 2.12194440e-4f;
  Vec p = all(1.9875691500e-4f);
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  Ints power = (__builtin_convertvector(k, Ints) + 127) << 23;
  return 1.0f / (1.0f + p * (Vec)power);
}

/* The quotient of two polynomials that _activations.py has. */
INLINE Vec hyperbolic_tangent(Vec x) {
  x = clip(x, 8.0f);
  Vec s = x * x;
  Vec p = all(1.523053300085e-08f), q = all(8.522493085168e-07f);
  p = p * s + 2.189474299205e-05f, q = q * s + 3.411300016290e-04f;
  p = p * s + 3.571602897557e-03f, q = q * s + 2.616446144795e-02f;
  p = p * s + 1.344450207547e-01f, q = q * s + 4.677782939709e-01f;
  p = p * s + 1.0f, q = q * s + 1.0f;
  return x * p / q;
}

/* ---- products ---- */

/* sums[r][c] = sum_k rows[r][k] packed[k][c], for R rows and C vectors of columns; R and C are
   known to the compiler. */
INLINE void multiply_tile(int R, int C, int64_t K, const float *const *rows, const float *packed,
                          float *sums, int64_t columns) {
  if (R == 1) { /* several sums of each column, as one waits for itself */
    Vec s[4][3] = {0};
    int64_t k = 0;
    for (; k + 4 <= K; k += 4)
      UNROLL for (int u = 0; u < 4; u++) UNROLL for (int c = 0; c < C; c++)
        s[u][c] += rows[0][k + u] * READ(packed + ((k + u) * C + c) * WIDTH);
    for (; k < K; k++)
      UNROLL for (int c = 0; c < C; c++)
        s[0][c] += rows[0][k] * READ(packed + (k * C + c) * WIDTH);
    UNROLL for (int c = 0; c < C; c++)
      AT(sums + c * WIDTH) = (s[0][c] + s[1][c]) + (s[2][c] + s[3][c]);
    return;
  }
  Vec s[TILE][3] = {0};
  for (int64_t k = 0; k < K; k++, packed += C * WIDTH) {
    Vec w[3];
    UNROLL for (int c = 0; c < C; c++) w[c] = READ(packed + c * WIDTH);
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int c = 0; c < C; c++)
      s[r][c] += rows[r][k] * w[c];
  }
  UNROLL for (int r = 0; r < R; r++) UNROLL for (int c = 0; c < C; c++)
    AT(sums + r * columns + c * WIDTH) = s[r][c];
}

/* Columns of a block of `pack`, in vectors. */
static int block_of(int64_t columns) {
  int64_t vectors = columns / WIDTH;
  return vectors % 3 == 0 ? 3 : vectors % 2 == 0 ? 2 : 1;
}

/* The matrices [K, width] side by side, as [blocks of columns][K][columns of a block]. */
static void pack(float *packed, const float *const *matrices, int64_t K, int64_t width,
                 int64_t columns) {
  int64_t block = block_of(columns) * WIDTH;
  for (int64_t first = 0; first < columns; first += block)
    for (int64_t k = 0; k < K; k++)
      for (int64_t j = first; j < first + block; j += WIDTH, packed += WIDTH)
        AT(packed) = READ(matrices[j / width] + k * width + j % width);
}

/* sums [count, columns] = rows [count, K] times a packed matrix [K, columns]. */
static void multiply(int64_t count, const float *const *rows, int64_t K, const float *packed,
                     int64_t columns, float *sums) {
  int C = block_of(columns);
  for (int64_t j = 0; j < columns; j += C * WIDTH, packed += K * C * WIDTH)
    for (int64_t first = 0; first < count; first += TILE) {
      int64_t left = count - first;
#define TILE_OF(R, C) multiply_tile(R, C, K, rows + first, packed, sums + first * columns + j, columns)
#define TILES_OF(R) (C == 3 ? TILE_OF(R, 3) : C == 2 ? TILE_OF(R, 2) : TILE_OF(R, 1))
      switch (left < TILE ? left : TILE) {
        case 1: TILES_OF(1); break;
        case 2: TILES_OF(2); break;
        case 3: TILES_OF(3); break;
        case 4: TILES_OF(4); break;
#if TILE == 8
        case 5: TILES_OF(5); break;
        case 6: TILES_OF(6); break;
        case 7: TILES_OF(7); break;
        case 8: TILES_OF(8); break;
#endif
      }
    }
}

/* ---- the arguments of a call ---- */

typedef struct {
  XLA_FFI_CallFrame *frame;
  int64_t M, T, N, H; /* of a sequence among the arguments */
  int64_t share;      /* members that share weights */
  int64_t rows;       /* that go through a step together */
} Call;

static XLA_FFI_Buffer *argument(const Call *call, int i) { return call->frame->args.args[i]; }
static const float *in(const Call *call, int i) { return argument(call, i)->data; }
static float *out(const Call *call, int i) {
  return ((XLA_FFI_Buffer *)call->frame->rets.rets[i])->data;
}

/* Constant i of member m. */
static const float *of(const Call *call, int i, int64_t m) {
  XLA_FFI_Buffer *buffer = argument(call, i);
  int64_t size = 1, groups = buffer->dims[0];
  for (int64_t axis = 1; axis < buffer->rank; axis++) size *= buffer->dims[axis];
  return (const float *)buffer->data + m / (call->M / groups) * size;
}

/* Where row r of the members from m on is at time t, in rows of a sequence. */
static int64_t place(const Call *call, int64_t m, int64_t t, int64_t r) {
  return ((m + r / call->N) * call->T + t) * call->N + r % call->N;
}

/* The same of a state. */
static int64_t place_of_state(const Call *call, int64_t m, int64_t r) {
  return m * call->N + r;
}

static XLA_FFI_Error *fail(const XLA_FFI_CallFrame *frame, const char *message) {
  XLA_FFI_Error_Create_Args args = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, NULL, message,
                                    XLA_FFI_Error_Code_INVALID_ARGUMENT};
  return frame->api->XLA_FFI_Error_Create(&args);
}

/* Answers what XLA asks of every handler once, its version; whether that was all. */
static int answered(XLA_FFI_CallFrame *frame) {
  __typeof__(frame->extension_start) extension = frame->extension_start; /* its name differs */
  if (!extension || extension->type != XLA_FFI_Extension_Metadata) return 0;
  XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)extension)->metadata;
  metadata->api_version.struct_size = XLA_FFI_Api_Version_STRUCT_SIZE;
  metadata->api_version.major_version = XLA_FFI_API_MAJOR;
  metadata->api_version.minor_version = XLA_FFI_API_MINOR;
  metadata->traits = 0;
  return 1;
}

/* Sizes from a sequence and weights; an error if the number of buffers, or a size, is not right. */
static XLA_FFI_Error *read_sizes(Call *call, XLA_FFI_CallFrame *frame, int args, int rets,
                                 int sequence, int weights) {
  if (frame->args.size != args || frame->rets.size != rets)
    return fail(frame, "gru.c: another number of buffers than expected");
  call->frame = frame;
  XLA_FFI_Buffer *buffer = argument(call, sequence), *weight = argument(call, weights);
  if (buffer->rank != 4 || buffer->dtype != XLA_FFI_DataType_F32)
    return fail(frame, "gru.c: sequences are [M, T, N, H] of float32");
  call->M = buffer->dims[0], call->T = buffer->dims[1], call->N = buffer->dims[2];
  call->H = buffer->dims[3];
  if (call->H % WIDTH || weight->dims[0] < 1 || call->M % weight->dims[0])
    return fail(frame, "gru.c: units in whole vectors, members in equal groups");
  call->share = call->M / weight->dims[0];
  call->rows = call->share * call->N;
  return NULL;
}

/* Numbers in lines of the cache, to be freed. */
static float *scratch(int64_t floats) { return aligned_alloc(64, (size_t)(floats + 15) / 16 * 64); }

static XLA_FFI_Error *no_memory(const XLA_FFI_CallFrame *frame) {
  return fail(frame, "gru.c: no memory for packed weights");
}

/* Rows whose products are made together: few enough that these wait in the cache. */
#define GROUP 16

static int64_t group_at(const Call *call, int64_t first) {
  return call->rows - first < GROUP ? call->rows - first : GROUP;
}

/* Input k of a row, at the columns from j on. */
#define IN(k) READ(ins[k] + j)

/* ---- forward, and its tangent ----
   forward: U_r, U_z, U_n [G, H, H], d [G, H], h_0 [M, N, H], p_r, p_z, p_n [M, T, N, H]
     ->  h_T [M, N, H], then of every step h_t and, for the record, h_{t-1}, r, z, q, n
   tangent: U_r, U_z, U_n, dd, y_0, h_{t-1}, r, z, q, n, dp_r, dp_z, dp_n, (h_{t-1} dU_k) for r, z, n
     ->  y_T, then of every step y_t, y_{t-1}, dr, dz, dq, dn */

/* Of one row, from its products s: writes the step's outputs. */
INLINE void gates(int64_t H, int record, const float *s, const float *d, const float *h,
                  const float *const *ins, float *const *outs) {
  for (int64_t j = 0; j < H; j += WIDTH) {
    Vec r = sigmoid(IN(0) + READ(s + j)), z = sigmoid(IN(1) + READ(s + H + j));
    Vec q = READ(s + 2 * H + j) + READ(d + j), n = hyperbolic_tangent(IN(2) + r * q);
    Vec before = READ(h + j);
    AT(outs[0] + j) = n + z * (before - n);
    if (!record) continue;
    AT(outs[1] + j) = before, AT(outs[2] + j) = r, AT(outs[3] + j) = z;
    AT(outs[4] + j) = q, AT(outs[5] + j) = n;
  }
}

INLINE void gates_tangent(int64_t H, const float *s, const float *dd, const float *y_before,
                          const float *const *ins, float *const *outs) {
  for (int64_t j = 0; j < H; j += WIDTH) {
    Vec before = IN(0), r = IN(1), z = IN(2), q = IN(3), n = IN(4), y = READ(y_before + j);
    Vec dr = r * (1.0f - r) * (IN(5) + (READ(s + j) + IN(8)));
    Vec dz = z * (1.0f - z) * (IN(6) + (READ(s + H + j) + IN(9)));
    Vec dq = READ(s + 2 * H + j) + IN(10) + READ(dd + j);
    Vec dn = (1.0f - n * n) * (IN(7) + dr * q + r * dq);
    AT(outs[0] + j) = dn + dz * (before - n) + z * (y - dn);
    AT(outs[1] + j) = y, AT(outs[2] + j) = dr, AT(outs[3] + j) = dz;
    AT(outs[4] + j) = dq, AT(outs[5] + j) = dn;
  }
}

typedef enum { STATES, RECORD, TANGENT } Way;

static XLA_FFI_Error *forward(XLA_FFI_CallFrame *frame, Way way) {
  if (answered(frame)) return NULL;
  Call call;
  int ins = way == TANGENT ? 11 : 3, outs = way == STATES ? 1 : 6;
  XLA_FFI_Error *error = read_sizes(&call, frame, 5 + ins, 1 + outs, 5, 0);
  if (error) return error;
  int64_t H = call.H;
  float *packed = scratch(3 * H * H + GROUP * 3 * H), *sums = packed + 3 * H * H;
  if (!packed) return no_memory(frame);
  for (int64_t m = 0; m < call.M; m += call.share) {
    pack(packed, (const float *[]){of(&call, 0, m), of(&call, 1, m), of(&call, 2, m)}, H, H, 3 * H);
    for (int64_t t = 0; t < call.T; t++)
      for (int64_t first = 0; first < call.rows; first += GROUP) {
        int64_t count = group_at(&call, first);
        const float *h[GROUP];
        for (int64_t i = 0; i < count; i++)
          h[i] = t ? out(&call, 1) + place(&call, m, t - 1, first + i) * H
                   : in(&call, 4) + place_of_state(&call, m, first + i) * H;
        multiply(count, h, H, packed, 3 * H, sums);
        for (int64_t i = 0; i < count; i++) {
          int64_t row = place(&call, m, t, first + i) * H;
          const float *s = sums + i * 3 * H, *from[11];
          const float *d = of(&call, 3, m + (first + i) / call.N);
          float *to[6];
          for (int k = 0; k < ins; k++) from[k] = in(&call, 5 + k) + row;
          for (int k = 0; k < outs; k++) to[k] = out(&call, 1 + k) + row;
          if (way == TANGENT)
            gates_tangent(H, s, d, h[i], from, to);
          else
            gates(H, way == RECORD, s, d, h[i], from, to);
        }
      }
    for (int64_t i = 0; i < call.rows; i++)
      memcpy(out(&call, 0) + place_of_state(&call, m, i) * H,
             out(&call, 1) + place(&call, m, call.T - 1, i) * H, 4 * H);
  }
  free(packed);
  return NULL;
}

XLA_FFI_Error *gru_state_step(XLA_FFI_CallFrame *frame) { return forward(frame, STATES); }
XLA_FFI_Error *gru_forward_step(XLA_FFI_CallFrame *frame) { return forward(frame, RECORD); }
XLA_FFI_Error *gru_forward_tangent_step(XLA_FFI_CallFrame *frame) {
  return forward(frame, TANGENT);
}

/* ---- one step, with the projection of its inputs ----
   W packed [G, 3HI], its biases [G, 3H], U packed [G, 3HH], d [G, H], x [M, 1, N, I], h [M, 1, N, H]
   ->  h_t, then h_{t-1}, r, z, q, n, each [M, 1, N, H] */

XLA_FFI_Error *gru_cell(XLA_FFI_CallFrame *frame) {
  if (answered(frame)) return NULL;
  Call call;
  XLA_FFI_Error *error = read_sizes(&call, frame, 6, 6, 5, 0);
  if (error) return error;
  int64_t H = call.H, I = argument(&call, 4)->dims[3];
  float *projected = scratch(2 * GROUP * 3 * H), *sums = projected + GROUP * 3 * H;
  if (!projected) return no_memory(frame);
  for (int64_t m = 0; m < call.M; m += call.share)
    for (int64_t first = 0; first < call.rows; first += GROUP) {
      int64_t count = group_at(&call, first);
      int64_t row = place_of_state(&call, m, first);
      const float *x[GROUP], *h[GROUP], *bias = of(&call, 1, m);
      for (int64_t i = 0; i < count; i++) {
        x[i] = in(&call, 4) + (row + i) * I;
        h[i] = in(&call, 5) + (row + i) * H;
      }
      multiply(count, x, I, of(&call, 0, m), 3 * H, projected);
      multiply(count, h, H, of(&call, 2, m), 3 * H, sums);
      for (int64_t i = 0; i < count; i++) {
        float *p = projected + i * 3 * H, *to[6];
        for (int64_t j = 0; j < 3 * H; j += WIDTH) AT(p + j) += READ(bias + j);
        for (int k = 0; k < 6; k++) to[k] = out(&call, k) + (row + i) * H;
        gates(H, 1, sums + i * 3 * H, of(&call, 3, m), h[i], (const float *[]){p, p + H, p + 2 * H},
              to);
      }
    }
  free(projected);
  return NULL;
}

/* ---- adjoint, and its tangent ----
   U^T [G, 3H, H], x_T [M, N, H], h_{t-1}, r, z, q, n, then
     adjoint: the cotangents of h_t
     tangent: x_t, the cotangents' tangents, those of h_{t-1}, r, z, q, n, the injection
   ->  x_0, then of every step x_t, (C_k x_t) side by side [M, T, N, 3H], c x_t; or their tangents */

/* Of one row: writes the step's outputs, and to carry what x_{t-1} is but for the products. */
INLINE void attribute(int64_t H, const float *const *ins, float *const *outs, float *carry) {
  for (int64_t j = 0; j < H; j += WIDTH) {
    Vec before = IN(0), r = IN(1), z = IN(2), q = IN(3), n = IN(4), x = IN(5) + READ(carry + j);
    Vec c = x * (1.0f - z) * (1.0f - n * n);
    AT(outs[0] + j) = x;
    AT(outs[1] + j) = c * q * r * (1.0f - r);
    AT(outs[1] + H + j) = x * (before - n) * z * (1.0f - z);
    AT(outs[1] + 2 * H + j) = c * r;
    AT(outs[2] + j) = c;
    AT(carry + j) = x * z;
  }
}

INLINE void attribute_tangent(int64_t H, const float *const *ins, float *const *outs,
                              float *carry) {
  for (int64_t j = 0; j < H; j += WIDTH) {
    Vec before = IN(0), r = IN(1), z = IN(2), q = IN(3), n = IN(4), x = IN(5);
    Vec dx = IN(6) + READ(carry + j), dbefore = IN(7), dr = IN(8), dz = IN(9), dq = IN(10);
    Vec dn = IN(11);
    Vec slope = 1.0f - n * n, rest = 1.0f - z, of_r = r * (1.0f - r), of_z = z * rest;
    Vec c = x * rest * slope;
    Vec dc = (dx * rest - x * dz) * slope - 2.0f * x * rest * n * dn;
    AT(outs[0] + j) = dx;
    AT(outs[1] + j) = dc * q * of_r + c * (dq * of_r + q * dr * (1.0f - 2.0f * r));
    AT(outs[1] + H + j) = (dx * (before - n) + x * (dbefore - dn)) * of_z +
                          x * (before - n) * dz * (1.0f - 2.0f * z);
    AT(outs[1] + 2 * H + j) = dc * r + c * dr;
    AT(outs[2] + j) = dc;
    AT(carry + j) = dx * z + x * dz + IN(12);
  }
}

static XLA_FFI_Error *backward(XLA_FFI_CallFrame *frame, Way way) {
  if (answered(frame)) return NULL;
  Call call;
  int ins = way == TANGENT ? 13 : 6;
  XLA_FFI_Error *error = read_sizes(&call, frame, 2 + ins, 4, 2, 0);
  if (error) return error;
  int64_t H = call.H;
  float *packed = scratch(3 * H * H + GROUP * H + call.rows * H);
  if (!packed) return no_memory(frame);
  float *sums = packed + 3 * H * H, *carry = sums + GROUP * H;
  for (int64_t m = 0; m < call.M; m += call.share) {
    pack(packed, (const float *[]){of(&call, 0, m)}, 3 * H, H, H);
    memcpy(carry, in(&call, 1) + place_of_state(&call, m, 0) * H, 4 * call.rows * H);
    for (int64_t t = call.T - 1; t >= 0; t--)
      for (int64_t first = 0; first < call.rows; first += GROUP) {
        int64_t count = group_at(&call, first);
        const float *products[GROUP];
        for (int64_t i = 0; i < count; i++) {
          int64_t row = place(&call, m, t, first + i) * H;
          const float *from[13];
          for (int k = 0; k < ins; k++) from[k] = in(&call, 2 + k) + row;
          float *to[] = {out(&call, 1) + row, out(&call, 2) + 3 * row, out(&call, 3) + row};
          products[i] = to[1];
          if (way == TANGENT)
            attribute_tangent(H, from, to, carry + (first + i) * H);
          else
            attribute(H, from, to, carry + (first + i) * H);
        }
        multiply(count, products, 3 * H, packed, H, sums);
        for (int64_t j = 0; j < count * H; j += WIDTH)
          AT(carry + first * H + j) += READ(sums + j);
      }
    memcpy(out(&call, 0) + place_of_state(&call, m, 0) * H, carry, 4 * call.rows * H);
  }
  free(packed);
  return NULL;
}

XLA_FFI_Error *gru_backward_step(XLA_FFI_CallFrame *frame) { return backward(frame, RECORD); }
XLA_FFI_Error *gru_backward_tangent_step(XLA_FFI_CallFrame *frame) {
  return backward(frame, TANGENT);
}
