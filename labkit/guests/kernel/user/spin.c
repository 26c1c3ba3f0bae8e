/* spin: an endless loop without a system call. Only the timer can take the processor away from it. */
#include "user.h"

int main(const char *arguments)
{
    (void)arguments;
    for (;;)
        __asm__ volatile("");
}
