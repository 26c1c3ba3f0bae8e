#ifndef ARITHMETIC_H
#define ARITHMETIC_H

#include <stdbool.h>

/* Value of an expression of integers with + - * / % and parentheses; TEXT moves on behind it. */
bool arithmetic(const char **text, int *value);

#endif
