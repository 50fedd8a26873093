"""The fast path: the way of a trade that is usual in every respect, compiled.

A process that is woken for one frame runs cold: what counts is how much code and data it touches, and Python touches
hundreds of cache lines where twenty would do. So the trade that is simply the next one, in the spelling that the
exchange always uses, while Redis answers as it always does, is taken from its frame to Redis' socket by two small
compiled modules: ``trade_parser.pyx`` and ``sender.pyx``. All else takes the way through adapter, sequence, stream and
publisher, which is also the only way where the modules are not there: they need a C compiler at the installation. Both
ways give the same entries.

Two things are handed over, apart from each other: the publisher hands its connection to the outbox, and the trades
their position (numbers, ids) to the trade parser.

  handed over   while nothing is unusual (``Publisher.hand_over``, ``FastPath.takes``); entries of all streams then go
                into the outbox, those that are no usual trades packed by Python
  settled       what the trade parser has counted meanwhile is reported to those who ask (``FastPath.settle``)
  withdrawn     the position as soon as anything else is to be done with the trades (``Stream.withdraw_ids``); the
                connection as soon as anything but an entry is to be sent, or the answer is not the expected one
                (``Publisher.withdraw``): what was under way continues as if it had been sent the usual way. A parser
                whose sender has gone takes nothing; its position comes back with the next trade.
"""
