"""The fast path: compiled code for trades that are usual in every respect.

A process that wakes up for one frame runs with cold caches. What counts is how much code and data it touches, and
Python touches hundreds of cache lines where twenty are enough. So two small compiled modules, ``trade_parser.pyx`` and
``sender.pyx``, take a usual trade from its frame to Redis' socket. A trade is usual if it is simply the next one, its
frame has the exchange's usual form, and Redis answers as usual. Everything else goes through adapter, sequence, stream
and publisher. Without the modules, which need a C compiler at the installation, this is the only way. Both ways give
the same entries.

Two things are handed over, independently: the publisher hands its connection to the outbox, and the trades' position
(numbers, ids) goes to the trade parser.

  handed over   while nothing is unusual (``Publisher.hand_over``, ``FastPath.takes``); entries of all streams then go
                into the outbox, those that are no usual trades packed by Python
  settled       what the trade parser has counted meanwhile is reported to those who ask (``FastPath.settle``)
  withdrawn     the position as soon as anything else is to be done with the trades (``Stream.withdraw_ids``); the
                connection as soon as anything but an entry is to be sent, or the answer is not the expected one
                (``Publisher.withdraw``): what was under way continues as if it had been sent the usual way. A parser
                whose sender has gone takes nothing; its position comes back with the next trade.
"""
