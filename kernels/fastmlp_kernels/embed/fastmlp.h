/* Networks of fastmlp_kernels for C: the types of the pointers that Python's fastmlp_kernels.CNetwork hands over.
 *
 * Matrices are row-major: x and input_gradients have `rows` rows of n_in numbers, outputs and output_gradients have
 * `rows` rows of n_out. They need no more alignment than a number does. Written and read arrays must not overlap.
 *
 * No function allocates, fails or needs Python's lock. Each uses the scratch memory of the network it is given, so that
 * each thread needs a CNetwork of its own; several may share the weights. Functions and networks live as long as the
 * Python objects.
 */
#ifndef FASTMLP_H
#define FASTMLP_H

#include <stdint.h>

typedef struct fastmlp_network {
    int64_t n_in;
    int64_t n_out;
    /* The fields that follow are private and may change. */
} fastmlp_network;

/* CNetwork.forward of a float32 and of a float64 network: outputs of any number of rows.
 * Returns 0, or 1 if an input is not finite; the outputs are written in both cases. */
typedef int32_t (*fastmlp_forward_float)(fastmlp_network *, int64_t rows, const float *x, float *outputs);
typedef int32_t (*fastmlp_forward_double)(fastmlp_network *, int64_t rows, const double *x, double *outputs);

/* CNetwork.forward_one: outputs of one sample. Faster than `forward`; the last bits may differ from its results. */
typedef void (*fastmlp_forward_one_float)(fastmlp_network *, const float *x, float *outputs);
typedef void (*fastmlp_forward_one_double)(fastmlp_network *, const double *x, double *outputs);

/* CNetwork.vjp: row by row, input_gradients = output_gradients times the Jacobian of the outputs with respect to the
 * inputs. */
typedef void (*fastmlp_vjp_float)(fastmlp_network *, int64_t rows, const float *x, const float *output_gradients,
                                  float *input_gradients);
typedef void (*fastmlp_vjp_double)(fastmlp_network *, int64_t rows, const double *x, const double *output_gradients,
                                   double *input_gradients);

/* CNetwork.integrand of a float64 network with one output: the output at x[0], ..., x[n - 1]; NaN if n is not n_in. */
typedef double (*fastmlp_integrand)(int32_t n, double *x, void *network);

#endif
