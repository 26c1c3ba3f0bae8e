/* forks N: makes and buries N children. Page tables and little else: what a monitor finds hardest. */
#include "user.h"

static uint32_t word; /* on a page that parent and child share until one writes */

int main(const char *arguments)
{
    uint32_t n = number(arguments, 10);
    for (uint32_t i = 0; i < n; i++) {
        int status = 0, child = fork();
        if (child == 0) {
            word = i;
            exit((int)word);
        }
        if (child < 0 || wait(child, &status, true) != child || status != (int)i || word != 0) {
            print("forks: number %u went wrong\n", i);
            return 1;
        }
    }
    print("%u children, each with its own copy\n", n);
    return 0;
}
