/* The library says which version it is. */
#include "weft.h"

#include <string.h>

int main(void) {
  return strcmp(weft_version(), WEFT_VERSION) != 0;
}
