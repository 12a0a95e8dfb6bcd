/* Elementary functions of double precision without a libm: the result is less than one unit in the last place from the
   exact one (tests/hil/test_maths.py says how far). Rounded to nearest; needs -ffp-contract=off. */
#ifndef HW_MATHS_H
#define HW_MATHS_H

double hw_exp(double x);
double hw_log(double x); /* -inf at 0, NaN below */
double hw_tanh(double x);
double hw_cbrt(double x);
double hw_pow(double x, double y); /* special cases as C11 annex F has them */

#endif
