/* Arithmetic by recursive descent: sum = product { +- product }, product = atom { * / % atom }. */
#include "arithmetic.h"

static char peek(const char **text)
{
    while (**text == ' ')
        (*text)++;
    return **text;
}

static bool atom(const char **text, int *value)
{
    char c = peek(text);
    if (c == '(' || c == '-') {
        (*text)++;
        if (c == '-') {
            bool ok = atom(text, value);
            *value = (int)-(unsigned)*value;
            return ok;
        }
        return arithmetic(text, value) && peek(text) == ')' && (*text)++;
    }
    if (c < '0' || c > '9')
        return false;
    unsigned n = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++)
        n = n * 10 + (unsigned)(**text - '0');
    *value = (int)n;
    return true;
}

static bool product(const char **text, int *value)
{
    if (!atom(text, value))
        return false;
    for (char c = peek(text); c == '*' || c == '/' || c == '%'; c = peek(text)) {
        int right;
        (*text)++;
        if (!atom(text, &right) || (c != '*' && (right == 0 || right == -1)))
            return false; /* the most negative number / -1 would overflow: -1 is refused with 0 */
        *value = c == '*'   ? (int)((unsigned)*value * (unsigned)right)
                 : c == '/' ? *value / right
                            : *value % right;
    }
    return true;
}

bool arithmetic(const char **text, int *value)
{
    if (!product(text, value))
        return false;
    for (char c = peek(text); c == '+' || c == '-'; c = peek(text)) {
        int right;
        (*text)++;
        if (!product(text, &right))
            return false;
        *value = (int)(c == '+' ? (unsigned)*value + (unsigned)right : (unsigned)*value - (unsigned)right);
    }
    return true;
}
