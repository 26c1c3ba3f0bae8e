/* fault: writes into the kernel. The page is present but not for ring 3, so the processor refuses. */
#include "user.h"

int main(const char *arguments)
{
    (void)arguments;
    print("fault: writing to c0100000, kernel memory\n");
    *(volatile uint32_t *)0xC0100000 = 0;
    print("fault: that must not work\n");
    return 1;
}
