#ifndef VGA_H
#define VGA_H

void vga_init(void);
void vga_put(char c);
void vga_show_cursor(void);

#endif
