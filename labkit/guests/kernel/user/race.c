/* race N: two processes add 1 to the same word N times each. Load, add and store are three instructions; when
 * the timer strikes between them, what the other one did meanwhile is overwritten, and additions are lost.
 */
#include "user.h"

static void add(volatile uint32_t *counter, uint32_t n)
{
    for (; n; n--) {
        uint32_t value = *counter;
        value++;
        __asm__ volatile("" : "+r"(value)); /* keep the three apart: one INC would not be interrupted */
        *counter = value;
    }
}

int main(const char *arguments)
{
    uint32_t n = number(arguments, 5000000);
    volatile uint32_t *counter = share();
    int status, child = fork();
    add(counter, n);
    if (child == 0)
        exit(0);
    wait(child, &status, true);
    print("2 x %u additions, the counter is %u, %u lost\n", n, *counter, 2 * n - *counter);
    return 0;
}
