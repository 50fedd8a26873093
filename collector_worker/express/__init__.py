"""The express: the way of a trade that is usual in every respect, compiled.

A process that is woken for one frame runs cold: what counts is how much code and data it touches, and Python touches
hundreds of cache lines where twenty would do. So the trade that is simply the next one, in the spelling that the
exchange always uses, while Redis answers as it always does, is taken from its frame to Redis' socket by two small
compiled modules: ``lane.pyx`` and ``outbox.pyx``. All else takes the way through adapter, tape, stream and publisher,
which is also the only way where the modules are not there: they need a C compiler at the installation. Both ways give
the same entries.

  lent          while nothing is unusual, the publisher lends the connection (``Publisher.lend``) and the trades lend
                their position (``Express.takes``)
  settled       what was counted meanwhile is told to those who ask (``Express.settle``)
  taken back    as soon as anything else is to be done: a hash to be written, an answer that is not the expected one, a
                trade that is not the next one; what was under way goes on as if it had been sent the usual way
"""
