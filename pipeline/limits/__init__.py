"""What a request must pass before it is sent. `gate.py` is the door; the rest is what it goes by.

| file | what it knows |
|---|---|
| `gate.py` | who may send now |
| `ceilings.py` | the requests and tokens a minute that the user allows |
| `buckets.py` | the server's own limits, as its headers tell them |
| `pace.py` | the server's limit where it tells nothing, as its refusals show it |
| `window.py` | how many requests may be in flight |
| `circuit.py` | whether the server is there at all |
| `latencies.py` | how long an answer usually takes |
| `budget.py` | what may be spent |
| `moments.py` | times in words |
"""
