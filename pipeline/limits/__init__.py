"""What a request must pass before it is sent. `gate.py` is the door; the rest is what it goes by.

| file | what it knows |
|---|---|
| `gate.py` | who may send now |
| `ceilings.py` | the requests and tokens a minute that the user allows |
| `hearsay.py` | what the server's headers say of its limits, and how far that is believed |
| `buckets.py` | a limit as they tell it |
| `pace.py` | the limit that the server keeps, as its refusals show it |
| `strays.py` | whether refusals concern their own request only |
| `measured.py` | the rate that this comes to |
| `patience.py` | how long the server asks to wait, and whether the user does |
| `charges.py` | what a request will be charged, in tokens and money |
| `window.py` | how many requests may be in flight |
| `circuit.py` | whether the server is there at all |
| `latencies.py` | how long an answer usually takes |
| `budget.py` | what may be spent |
| `moments.py` | times in words |
"""
