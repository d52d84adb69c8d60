/* The WASI command. */
#include "weft.h"

#include <stdio.h>

int main(void) {
  return puts(weft_version()) < 0;
}
