// The system library, as the module CNats.
#include <nats/nats.h>
