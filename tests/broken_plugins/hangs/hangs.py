"""Never comes back from its import."""

import time

print("still thinking", flush=True)
time.sleep(600)
